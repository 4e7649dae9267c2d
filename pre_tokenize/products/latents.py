"""Items as clips of Lumina-Video: the whole of a video, 4m frames of it, or a picture, cut to a crop, as latents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from lumos.lumina_video.data.latents import LatentClip
from lumos.lumina_video.encoding.clip_frames import clip_frames
from lumos.lumina_video.encoding.crops import crop_sizes
from lumos.lumina_video.encoding.protocols import VideoVAE
from lumos.lumina_video.vae import NotFiniteError
from lumos.media.crop import PATCH_PX, crop_to_bucket, nearest_size
from lumos.media.decoding.chosen_frames import read_chosen
from lumos.media.frames import FrameChoice
from lumos.media.media_error import TOO_SMALL, MediaError
from lumos.media.reading import read_image
from pre_tokenize.bookkeeping.ledger import Skip
from pre_tokenize.lists.table import Item
from pre_tokenize.products.decoded_again import MOST_LATENT_FRAMES
from pre_tokenize.products.encode import Made, on_device
from pre_tokenize.products.pixels import Pixels
from xllmx.settings.number_range import Range, check_number

NOT_FINITE = "latents that are not finite"


@dataclass(frozen=True, kw_only=True)
class LatentTarget:
    """What items are made into. Raises `ValueError` for a setting that makes no clip."""

    modality: Literal["image", "video"]
    """Images are clips of one frame, fps 1 and 1 second, whatever the settings of videos say."""
    size: int | list[tuple[int, int]]
    """Target size in pixels, see `lumos.lumina_video.encoding.crops`, or the sizes (width, height) of which each item
    gets the nearest. What has fewer pixels than the square, or than its size, is skipped."""
    fps: int
    """Frames per second of videos."""
    most_seconds: int
    """Longest video, which goes through the VAE as a whole."""
    frame_choice: FrameChoice = "time"
    """How the frames of a video are found, see `read_chosen`."""

    def __post_init__(self) -> None:
        if not isinstance(self.size, list):
            check_number("--target_size", int, self.size, Range(PATCH_PX, 2**16))
        check_number("--target_fps", int, self.fps, Range(1, 1000))
        check_number("--most_seconds", int, self.most_seconds, Range(1, 100_000))


class LatentFrames:
    """Reads items as the frames that a VAE takes."""

    captioned = True

    def __init__(self, target: LatentTarget, *, spatial: int, temporal: int) -> None:
        """Take the pixels and frames of a latent; ValueError where crops are no multiple of its pixels."""
        if PATCH_PX % spatial:
            raise ValueError(
                f"--vae makes a latent of {spatial} px, and crops are multiples of {PATCH_PX}; give another VAE"
            )
        self._target = target
        self._sizes = crop_sizes(target.size) if isinstance(target.size, int) else target.size
        self._rule = partial(clip_frames, fps=target.fps, frames_per_latent=temporal, most_s=target.most_seconds)

    def read(self, path: Path) -> Pixels:
        """The frames of an item in its crop. Raises `MediaError`."""
        target = self._target
        if target.modality == "image":
            return Pixels(frames=self._cut(read_image(path))[None], seconds=1.0)
        chosen = read_chosen(
            path,
            self._rule,
            step_s=Fraction(1, target.fps),
            prepare=self._cut,
            least_px=max(map(max, self._sizes)),
            frame_choice=target.frame_choice,
        )
        return Pixels(frames=chosen.frames, seconds=chosen.seconds)

    def _cut(self, pixels: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
        height, width = pixels.shape[:2]
        size, crop = self._target.size, nearest_size(width, height, self._sizes)
        least = (size, size) if isinstance(size, int) else crop
        if width * height < least[0] * least[1]:
            found = f"{width}x{height} px, fewer than {least[0]}x{least[1]}"
            raise MediaError("source", TOO_SMALL, f"{found}; it is never scaled up")
        return crop_to_bucket(pixels[None], crop)[0]


class Latents:
    """Turns items into latents with a VAE."""

    captioned = True

    def __init__(self, target: LatentTarget, *, vae: VideoVAE, device: str) -> None:
        """Take a VAE; ValueError where crops are no multiple of its latents' pixels."""
        self._target, self._vae, self._device = target, vae, device
        self.read = LatentFrames(target, spatial=vae.spatial, temporal=vae.temporal).read

    def network(self, batch: Sequence[Pixels]) -> Tensor:
        """Scaled latents [B, C, T, H, W], bf16, of items of one shape; NaN for one that has none."""
        pixels = on_device([each.frames for each in batch], device=self._device)
        try:
            return self._vae.encode(pixels).bfloat16().cpu()
        except NotFiniteError:
            return torch.cat([self._alone(clip) for clip in pixels.split(1)])

    def _alone(self, clip: Tensor) -> Tensor:
        try:
            return self._vae.encode(clip).bfloat16().cpu()
        except NotFiniteError:
            _, _, F, height, width = clip.shape
            side, frames = self._vae.spatial, -(-F // self._vae.temporal)
            shape = (1, self._vae.channels, frames, height // side, width // side)
            return torch.full(shape, float("nan"), dtype=torch.bfloat16)

    def decode(self, pixels: Pixels, latent: Tensor) -> Tensor:
        """The first frames [1, 3, G, H, W] of a latent [C, T, H, W]."""
        latent = latent[:, :MOST_LATENT_FRAMES]
        frames = min(len(pixels.frames), self._vae.temporal * latent.shape[1])
        return self._vae.decode(latent[None].float(), frames).cpu()

    def made(self, batch: Sequence[tuple[Item, Pixels]], outputs: Tensor) -> Mapping[int, Made]:
        """A clip for each item, or why its latents are none."""
        return {
            item.row: self._clip(item, pixels, latent) for (item, pixels), latent in zip(batch, outputs, strict=True)
        }

    def _clip(self, item: Item, pixels: Pixels, latent: Tensor) -> LatentClip | Skip:
        if not bool(latent.isfinite().all()):
            detail = "NaN or infinity; give --vae_dtype float32"
            return Skip(row=item.row, path=item.path, reason=NOT_FINITE, detail=detail)
        image = self._target.modality == "image"
        return LatentClip(
            caption=item.text,
            latent=latent.contiguous(),
            lead=0,
            motion=0.0 if image else item.motion,
            fps=1.0 if image else float(self._target.fps),
            seconds=pixels.seconds,
            source=item.path,
        )
