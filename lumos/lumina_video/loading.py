"""The parts of a pipeline, opened and not read: each comes into memory when there is work for it.

    work           in memory, GB in bf16 of the released model
    prompts        text encoder 5.0
    sampling       network 3.5, and activations (lumos/lumina_video/cost.py)
    decoding       network 3.5, VAE 0.4, and activations

Text encoder and VAE are given up after their work, unless they are kept; the network stays.
"""

from dataclasses import dataclass

import torch

from lumos.lumina_video.checkpoint.parts import LuminaVideoFiles
from lumos.lumina_video.checkpoint.weights import check_dit, load_dit
from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.dit import MultiScaleNextDiT
from lumos.lumina_video.encoding.on_demand import OnDemand
from lumos.lumina_video.encoding.protocols import VideoVAE
from lumos.lumina_video.sizes import Compression
from lumos.lumina_video.text import GemmaTextEncoder
from lumos.lumina_video.vae import CogVideoXVAE
from xllmx.kernels.attention import resolve_backend
from xllmx.lora import load_lora


@dataclass(frozen=True, kw_only=True)
class LuminaVideoParts:
    """What a pipeline works with, and what is to be known of it beforehand."""

    config: LuminaVideoConfig
    """Of the network."""
    network: OnDemand[MultiScaleNextDiT]
    """In evaluation mode."""
    text_encoder: OnDemand[GemmaTextEncoder]
    """Of features as wide as the network expects."""
    vae: OnDemand[VideoVAE]
    """Of as many channels as the network has."""
    compression: Compression
    """Of the VAE."""
    device: torch.device
    """Where all of them work."""
    dtype: torch.dtype
    """What all of them compute in."""


def open_parts(
    files: LuminaVideoFiles,
    *,
    device: torch.device,
    dtype: torch.dtype,
    keep_encoders: bool = False,
    tiled: bool = False,
    attention_backend: str = "auto",
) -> LuminaVideoParts:
    """Return the parts of a model; what can be told without reading weights is checked.

    Raises:
        ValueError: weights that do not fit their config, tiles that do not fit together, or an attention backend that
            cannot be had.
    """
    resolve_backend(attention_backend, device=device, dtype=dtype)
    config = check_dit(files.model)
    vae = CogVideoXVAE.without_weights(files.vae, tiled=tiled)

    def network() -> MultiScaleNextDiT:
        model = load_dit(files.model, device=device, dtype=dtype)
        model = model if files.lora is None else load_lora(model, files.lora)
        model.attention_backend = attention_backend
        return model

    def text_encoder() -> GemmaTextEncoder:
        folder, tokenizer = files.text_encoder, files.tokenizer
        return GemmaTextEncoder.from_pretrained(folder, tokenizer=tokenizer, device=device, dtype=dtype)

    return LuminaVideoParts(
        config=config,
        network=OnDemand(network),
        text_encoder=OnDemand(text_encoder, keep=keep_encoders),
        vae=OnDemand(
            lambda: CogVideoXVAE.from_pretrained(files.vae, tiled=tiled, device=device, dtype=dtype),
            keep=keep_encoders,
        ),
        compression=Compression(spatial=vae.spatial, temporal=vae.temporal),
        device=device,
        dtype=dtype,
    )
