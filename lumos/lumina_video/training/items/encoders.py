"""The frozen encoders of training: features of captions, kept; latents of images and videos that are none yet."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lumos.lumina_video.encoding.on_demand import OnDemand
from lumos.lumina_video.encoding.prompt_features import PromptFeatures
from lumos.lumina_video.text import GemmaTextEncoder, read_gemma_config
from lumos.lumina_video.training.items.clip_files import ClipSample
from lumos.lumina_video.training.items.decoded_images import DecodedImages
from lumos.lumina_video.training.items.image_files import ImageSample
from lumos.lumina_video.training.items.samples import Sample
from lumos.lumina_video.training.task_config import LuminaVideoTaskConfig
from lumos.lumina_video.vae import CogVideoXVAE


def require_vae(vae: str | None, name: str, *, media_type: str, channels: int) -> None:
    """Check that there is a VAE to encode the images or videos of a task, of the model's channels.

    Raises:
        ValueError: there is none, or it has other channels.
    """
    if vae is None:
        remedy = "set task.vae to the folder of the VAE, or make latents of them with pre_tokenize --to latents"
        raise ValueError(f"task {name} reads {media_type}s that are no latents yet; {remedy}")
    if (found := CogVideoXVAE.without_weights(vae).channels) != channels:
        raise ValueError(
            f"the VAE {vae} makes {found} channels, the model takes in_channels={channels}; correct task.vae or "
            "task.model.in_channels"
        )


class FrozenEncoders:
    """Text encoder and VAE of a training, each loaded when it is first needed; none is trained.

    A caption goes through its encoder alone, so that its features depend on no other of the batch, nor on when they
    were made: a resumed run sees the same.
    """

    device: torch.device = torch.device("cpu")
    """Where they work."""

    def __init__(self, config: LuminaVideoTaskConfig, *, width: int) -> None:
        """Look at the text encoder's config; `width` is that of the features which the model expects.

        Raises:
            ValueError: there is none, or its features have another width.
        """
        assert config.text_encoder is not None
        self._config, folder = config, Path(config.text_encoder)
        found = int(read_gemma_config(folder).hidden_size)
        if found != width:
            raise ValueError(
                f"the text encoder {folder} makes features of width {found}, the model takes cap_feat_dim={width}; "
                "correct task.text_encoder or task.model.cap_feat_dim"
            )
        self._text = PromptFeatures(OnDemand(self._load_text, keep=True), kept=config.text_kept)
        self._vae = OnDemand(self._load_vae, keep=True)
        self._decoded = DecodedImages()

    def features(self, captions: Sequence[str]) -> tuple[Float[Tensor, "B S E"], Bool[Tensor, "B S"]]:
        """Return the features of captions on the CPU, padded on the right, and a mask: True = a token of the text."""
        with self._beside():
            return self._text.of(captions, system_prompt=self._config.system_prompt or "", device=torch.device("cpu"))

    def encoded(self, sample: Sample | ImageSample | ClipSample) -> Sample:
        """Return the sample, an image or clip that is no latent yet encoded, a clip as a whole."""
        if isinstance(sample, Sample):
            return sample
        pixels = sample.frames.permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        with self._beside():
            vae = self._vae.keep()
            latents = vae.encode(pixels)
            self._decoded.see(sample, latents, vae)
            latent = latents[0].float().cpu()
        return Sample(
            task=sample.task, caption=sample.caption, latent=latent, frames_per_latent=vae.temporal,
            motion=sample.motion, held_out=sample.held_out,
        )  # fmt: skip

    _stream: torch.cuda.Stream | None = None

    @contextmanager
    def _beside(self) -> Iterator[None]:
        """A context for encoding: on a GPU in a stream of its own, so that reading the result waits for no step."""
        if self.device.type != "cuda":
            yield
            return
        self._stream = self._stream or torch.cuda.Stream(self.device)
        with torch.cuda.stream(self._stream):
            yield

    def _load_text(self) -> GemmaTextEncoder:
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        assert self._config.text_encoder is not None
        return GemmaTextEncoder.from_pretrained(self._config.text_encoder, device=self.device, dtype=dtype)

    def _load_vae(self) -> CogVideoXVAE:
        assert self._config.vae is not None
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        return CogVideoXVAE.from_pretrained(self._config.vae, device=self.device, dtype=dtype)
