"""Which frames of a video are taken, why one cannot be used, and pixels as tensors and back."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

Rate = int | float | Fraction
"""Frames per second, or seconds: containers state them as fractions."""

MISSING, UNDECODABLE = "missing file", "undecodable"
TOO_SHORT, SLOW_SOURCE = "too short", "source slower than the target fps"


class MediaError(ValueError):
    """An image or video that cannot be used; `reason` is one of a few short texts that a report can count."""

    def __init__(self, path: str | Path, reason: str, detail: str = "") -> None:
        super().__init__(f"{path}: {reason}" + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.detail = detail


def frame_indices(num_frames: int, source_fps: Rate, *, fps: Rate, duration: Rate) -> range:
    """Indices of the source frames that make a clip of `duration` seconds at `fps`: every `step`-th of the middle.

    n = round(fps * duration) frames, step = int(source_fps / fps), starting at the first multiple of the step that is
    not before max(0, num_frames // 2 - n * step // 2). Raises `MediaError` for a source that is too slow or too short.
    """
    n, step = round(fps * duration), int(source_fps / fps)
    if step == 0:
        raise MediaError("source", SLOW_SOURCE, f"{float(source_fps):g} fps, asked for {float(fps):g}")
    start = max(0, num_frames // 2 - n * step // 2)
    first = -(-start // step) * step
    last = first + (n - 1) * step
    if num_frames < duration * source_fps - 1e-6 or last >= num_frames:
        seconds = float(num_frames / source_fps)
        raise MediaError(
            "source", TOO_SHORT, f"{num_frames} frames are {seconds:.2f} s, asked for {float(duration):g} s"
        )
    return range(first, last + 1, step)


def to_tensor(frames: UInt8[np.ndarray, "F H W 3"]) -> Float[Tensor, "3 F H W"]:
    """Frames as fp32 in [-1, 1]: x / 255 * 2 - 1."""
    return rearrange(torch.tensor(frames).float() / 255 * 2 - 1, "F H W C -> C F H W").contiguous()


def to_frames(video: Float[Tensor, "3 F H W"]) -> UInt8[np.ndarray, "F H W 3"]:
    """Pixels of a video in [-1, 1]: clamped, (x + 1) / 2 * 255, truncated."""
    pixels = (video.detach().float().clamp(-1, 1) + 1) / 2 * 255
    return np.ascontiguousarray(rearrange(pixels.to(torch.uint8), "C F H W -> F H W C").cpu().numpy())
