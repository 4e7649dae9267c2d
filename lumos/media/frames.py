"""Which frames of a video are taken, and pixels as tensors and back."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Literal, TypeVar

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from lumos.media.media_error import SLOW_SOURCE, TOO_SHORT, MediaError

Rate = int | float | Fraction
"""Frames per second, or seconds: containers state them as fractions."""

FrameChoice = Literal["time", "released"]
"""Frames nearest in time to every 1 / fps seconds, or every `int(source_fps / fps)`-th by number (`frame_indices`)."""

_T = TypeVar("_T")


def frame_indices(num_frames: int, source_fps: Rate, *, fps: Rate, duration: Rate) -> range:
    """Indices of the source frames that make a clip of `duration` seconds at `fps`, as released: every `step`-th.

    n = round(fps * duration) frames, step = int(source_fps / fps), starting at the first multiple of the step that is
    not before max(0, num_frames // 2 - n * step // 2). A step that is rounded down plays too slowly: 23.976 fps give
    each frame for a target of 12. Raises `MediaError` for a source that is too slow or too short.
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


def frame_times(length: Fraction, source_fps: Rate, *, fps: Rate, duration: Rate, blur: Fraction) -> list[Fraction]:
    """Times, in seconds from the first frame on, of the n = round(fps * duration) frames of a clip at `fps`.

    They are multiples of 1 / fps. The first is the first multiple that is not before the start of the middle window;
    that start is counted in frames of the source as in `frame_indices`, with the exact ratio of the rates as step:
    where the ratio is whole and the frames come evenly, both choose the same frames.

        length 10 s, 24 fps -> 4 fps, 2 s: 240 // 2 - 8 * 6 // 2 = frame 96 = 4 s; 4, 4.25 ... 5.75 s

    `length` is from the first frame to the end of the last, known to +-`blur` seconds (stamps are rounded).
    Raises `MediaError` for a source that is too short.
    """
    n, step = round(fps * duration), 1 / Fraction(fps)
    if length + blur < duration:
        raise MediaError("source", TOO_SHORT, f"{float(length):.2f} s, asked for {float(duration):g} s")
    per_step = Fraction(source_fps) * step
    start = max(0, round(length * Fraction(source_fps)) // 2 - round(n * per_step) // 2)
    latest = floor((length + blur - 1 / Fraction(source_fps)) / step) - (n - 1)  # the last time is that of a frame
    first = max(0, min(ceil(start / per_step), latest))
    return [(first + k) * step for k in range(n)]


def nearest_in_time(shown: Iterable[tuple[Fraction, _T]], times: Sequence[Fraction]) -> Iterator[tuple[Fraction, _T]]:
    """For each of the rising `times`, which of `shown` (time, what) is nearest to it; the earlier of two.

    Two of `shown` are held at once, and no more is drawn from it than is needed. Ends early where it is empty.
    """
    shown = iter(shown)
    best, following = next(shown, None), next(shown, None)
    for time in times:
        while best and following and abs(following[0] - time) < abs(best[0] - time):
            best, following = following, next(shown, None)
        if best is None:
            return
        yield best


def to_tensor(frames: UInt8[np.ndarray, "F H W 3"]) -> Float[Tensor, "3 F H W"]:
    """Frames as fp32 in [-1, 1]: x / 255 * 2 - 1."""
    return rearrange(torch.tensor(frames).float() / 255 * 2 - 1, "F H W C -> C F H W").contiguous()


def to_frames(video: Float[Tensor, "3 F H W"]) -> UInt8[np.ndarray, "F H W 3"]:
    """Pixels of a video in [-1, 1]: clamped, (x + 1) / 2 * 255, truncated."""
    pixels = (video.detach().float().clamp(-1, 1) + 1) / 2 * 255
    return np.ascontiguousarray(rearrange(pixels.to(torch.uint8), "C F H W -> F H W C").cpu().numpy())
