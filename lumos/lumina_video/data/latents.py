"""A clip of latents, as training takes it from disk, and the VAE that made it.

A clip of ours has 4m frames and m latents, all alike (README section 5). The released cache encoded 4m + 1 frames, and
one of its latents stands for a single frame; it dropped the first one in training, wherever the odd one stood. So

    lead = 0    every latent covers four frames (or the clip is an image, its only latent one frame)
    lead = 1    a clip of the released cache: training leaves the first latent out
"""

from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from jaxtyping import BFloat16
from torch import Tensor

from lumos.lumina_video.data.row_numbers import MOST_MOTION as MOST_MOTION
from lumos.lumina_video.data.row_numbers import UNKNOWN_MOTION as UNKNOWN_MOTION
from lumos.lumina_video.encoding.protocols import VideoVAE


@dataclass(frozen=True, kw_only=True)
class LatentClip:
    """What training takes from disk: a latent and what is said of it.

    Raises `ValueError` for a lead that leaves nothing, and for a motion score, a rate or a length that is none.
    """

    caption: str
    latent: BFloat16[Tensor, "C T H W"]
    """As the network takes it: multiplied with the scale of its VAE. An image has T = 1."""
    lead: int
    """Latents at the start, 0 or 1, that training leaves out, since they may stand for a single frame."""
    motion: float
    """Mean optical flow in pixels per half second at 576x320; -1: unknown. 0 of an image."""
    fps: float | None
    """Frames a second of the frames that were encoded; None where nobody wrote it down (the released records)."""
    seconds: float
    """How long the source is."""
    source: str
    """The file it was made of, as its table names it."""

    def __post_init__(self) -> None:
        if self.lead not in (0, 1) or self.lead >= self.latent.shape[1]:
            raise ValueError(f"lead is {self.lead} of {self.latent.shape[1]} latents; it must be 0 or 1 and leave one")
        if not (isfinite(self.motion) and (self.motion >= 0 or self.motion == UNKNOWN_MOTION)):
            raise ValueError(f"motion is {self.motion:g}; it must be at least 0, or -1 for unknown")
        if self.fps is not None and not (isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"fps is {self.fps:g}; it must be above 0, or unknown")
        if not (isfinite(self.seconds) and self.seconds >= 0):
            raise ValueError(f"seconds is {self.seconds:g}; it must be at least 0")

    @property
    def is_image(self) -> bool:
        """Whether it is one frame."""
        return self.latent.shape[1] == 1

    @property
    def kept(self) -> BFloat16[Tensor, "C K H W"]:
        """The latents that training may take: all but the lead."""
        return self.latent[:, self.lead :]


@dataclass(frozen=True, kw_only=True)
class VAEIdentity:
    """Which VAE made a set of latents."""

    channels: int
    """C of its latents."""
    scale: float
    """What they were multiplied with."""
    spatial: int
    """Pixels per latent along height and width."""
    temporal: int
    """Frames per latent frame."""
    sha256: str = ""
    """Of the file of its weights, where there is one."""

    @classmethod
    def of(cls, vae: VideoVAE, *, sha256: str = "") -> "VAEIdentity":
        """That of a VAE."""
        return cls(channels=vae.channels, scale=vae.scale, spatial=vae.spatial, temporal=vae.temporal, sha256=sha256)

    @classmethod
    def from_dict(cls, values: Any) -> "VAEIdentity":
        """That which `vars` made a dict of; ValueError for anything else."""
        kinds = {"channels": int, "scale": float, "spatial": int, "temporal": int, "sha256": str}
        if not isinstance(values, dict) or {name: type(value) for name, value in values.items()} != kinds:
            raise ValueError("it does not say which VAE made the latents")
        least = min(values[name] for name in ("channels", "spatial", "temporal"))
        if least < 1 or not (isfinite(values["scale"]) and values["scale"] > 0):
            raise ValueError(f"it says that a VAE made the latents which there cannot be ({values!r:.200})")
        return cls(**values)

    def require(self, other: "VAEIdentity", *, said_by: object) -> "VAEIdentity":
        """Return what is known of the VAE of both, this one and that of the latents of `said_by`.

        Weights are compared where both are known.

        Raises:
            ValueError: they are different ones; it names in what.
        """
        names = {
            "channels": "channels of a latent",
            "scale": "scale of the latents",
            "spatial": "pixels per latent",
            "temporal": "frames per latent",
        }
        different = [
            f"{what} {getattr(other, name):g}, not {getattr(self, name):g}"
            for name, what in names.items()
            if getattr(other, name) != getattr(self, name)
        ]
        if self.sha256 and other.sha256 and self.sha256 != other.sha256:
            different.append("other weights")
        if different:
            raise ValueError(
                f"{said_by}: its latents are of another VAE ({'; '.join(different)}); "
                "encode again with --vae of the model that is trained"
            )
        return self if self.sha256 else other


def check_finite(latent: Tensor) -> None:
    """Raise ValueError for a latent that holds NaN or infinity."""
    if not bool(torch.isfinite(latent).all()):
        raise ValueError("its latent is not finite (NaN or infinity)")
