"""What Lumina-Video asks of its text encoder and of its VAE; the network itself knows features and latents alone."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

SYSTEM_PROMPT = (
    "You are an assistant designed to generate high-quality videos with the highest degree of image-text alignment "
    "based on user prompts. <Prompt Start> "
)
"""What stands before every prompt, also the negative one, in training and generation; the last space belongs to it."""


@runtime_checkable
class TextEncoder(Protocol):
    """Texts to features, the text side of cross-attention."""

    @property
    def width(self) -> int:
        """E, the number of features of a token."""
        ...

    def encode(self, texts: Sequence[str]) -> tuple[Float[Tensor, "B L E"], Bool[Tensor, "B L"]]:
        """Features of texts padded on the right to one length, and a mask: True = a token of the text.

        What the rows of padding hold is nobody's business.
        """
        ...


@runtime_checkable
class VideoVAE(Protocol):
    """Pixels to latents of about unit variance and back."""

    @property
    def spatial(self) -> int:
        """Pixels per latent along height and width."""
        ...

    @property
    def temporal(self) -> int:
        """Frames per latent frame."""
        ...

    @property
    def channels(self) -> int:
        """C, the number of channels of a latent."""
        ...

    @property
    def scale(self) -> float:
        """What the VAE's own latents are multiplied with to have about unit variance."""
        ...

    def encode(self, pixels: Float[Tensor, "B 3 F Hpx Wpx"]) -> Float[Tensor, "B C T H W"]:
        """Scaled latents of clips of F = temporal * T frames, or of images (F = 1, T = 1), pixels in [-1, 1]."""
        ...

    def decode(self, latents: Float[Tensor, "B C T H W"], num_frames: int) -> Float[Tensor, "B 3 F Hpx Wpx"]:
        """Exactly `num_frames` = temporal * T frames, fp32, about [-1, 1] (not clamped)."""
        ...
