"""What `lumos doctor` checks of a model of Lumina-Video: weights of the network, text encoder, VAE, settings.

Each part is loaded as for generation, one after the other, and works once on the smallest thing there is.
"""

import math
from collections.abc import Callable, Mapping

import torch

from lumos.cli.models.kind import Model
from lumos.lumina_video.checkpoint.parts import LuminaVideoFiles
from lumos.lumina_video.checkpoint.tensor_files import TensorFiles
from lumos.lumina_video.checkpoint.weights import load_dit, open_weights, weight_files
from lumos.lumina_video.dit import MultiScaleNextDiT
from lumos.lumina_video.flow import FlowPreset, noise_for, sample_latents
from lumos.lumina_video.scale import Scale
from lumos.lumina_video.text import GemmaTextEncoder, read_text_encoder
from lumos.lumina_video.vae import CogVideoXVAE
from lumos.media.inputs import choose_device, choose_dtype


def _weights(model: Model) -> str:
    """Whether the tensors of the files are those of the config and finite; one step of the smallest clip."""
    files = _files(model)
    device, dtype = _place(model)
    network = load_dit(files.model, device=device, dtype=dtype)
    _step(network, network.config.scales[0])
    tensors = open_weights(files.model)
    num_files = len(weight_files(files.model))
    return (
        f"{num_files} file(s), {_count(tensors)} numbers in {len(tensors.shapes)} tensors, config fits, a step was made"
    )


def _step(network: MultiScaleNextDiT, scale: Scale) -> None:
    config, device = network.config, next(network.parameters()).device
    preset = FlowPreset(
        scale=str(scale), num_points=2, shift=None, renorm=-1, guidance=0, motion=None, negative_motion=None
    )
    noise = noise_for(0, (config.in_channels, scale.frames, scale.pixels, scale.pixels), device=device)
    text = torch.zeros(1, 8, config.cap_feat_dim, device=device)
    mask = torch.ones(1, 8, dtype=torch.bool, device=device)
    sample_latents(network, noise[None], preset=preset, text=text, text_mask=mask)


def _text_encoder(model: Model) -> str:
    files = _files(model)
    config, tokenizer = read_text_encoder(files.text_encoder, tokenizer=files.tokenizer)
    tensors = TensorFiles(files.text_encoder_weights)
    device, dtype = _place(model)
    folder = files.text_encoder
    GemmaTextEncoder.from_pretrained(folder, tokenizer=files.tokenizer, device=device, dtype=dtype).encode(["a"])
    layers = f"{config.num_hidden_layers} layers of width {config.hidden_size}"
    return (
        f"Gemma-2 of {layers}, {_count(tensors)} numbers, {tokenizer.get_vocab_size():,} tokens ({files.text_encoder})"
    )


def _vae(model: Model) -> str:
    files = _files(model)
    device, dtype = _place(model)
    vae = CogVideoXVAE.from_pretrained(files.vae, device=device, dtype=dtype)
    tensors = TensorFiles([files.vae_weights])
    num_frames, side = 2 * vae.temporal, 2 * vae.spatial
    vae.decode(vae.encode(torch.zeros(1, 3, num_frames, side, side)), num_frames)
    pixels = f"{vae.temporal} frames of {vae.spatial}x{vae.spatial} px"
    return f"a latent of {vae.channels} channels is {pixels}, {_count(tensors)} numbers ({files.vae})"


def _settings(model: Model) -> str:
    settings = model.settings_for({}, image=None)
    assert hasattr(settings, "preset")
    scales = ", ".join(map(str, settings.preset.scales))
    clip = f"{settings.width}x{settings.height}, {settings.num_output_frames} frames at {settings.fps} fps"
    return f"{clip}, {settings.preset.num_steps} steps through {scales}"


def _place(model: Model) -> tuple[torch.device, torch.dtype]:
    device = choose_device(model.device)
    return device, choose_dtype(model.dtype, device)


def _files(model: Model) -> LuminaVideoFiles:
    assert isinstance(model.files, LuminaVideoFiles)
    return model.files


def _count(tensors: TensorFiles) -> str:
    return f"{sum(map(math.prod, tensors.shapes.values())):,}"


CHECKS: Mapping[str, Callable[[Model], str]] = {
    "weights": _weights,
    "text encoder": _text_encoder,
    "VAE": _vae,
    "settings": _settings,
}
"""What is looked at -> what was found; ValueError, OSError or RuntimeError say what to do."""
