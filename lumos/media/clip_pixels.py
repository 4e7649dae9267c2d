"""A clip as it lies in memory, in any of the forms that people hold one in, brought to bytes."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from lumos.media.inputs import ImageInput, pixels_of, tensor_pixels

ClipInput: TypeAlias = np.ndarray | Tensor | Sequence[ImageInput]
"""Frames: a list of pictures (`lumos.media.inputs.ImageInput`), [F, Hpx, Wpx, 3] or a tensor [F, 3, Hpx, Wpx]; bytes,
or fractions in [0, 1]."""


def clip_pixels(frames: ClipInput) -> UInt8[np.ndarray, "F Hpx Wpx 3"]:
    """Return the frames of a clip as bytes; fractions are rounded to the nearest.

    Raises:
        ValueError: there are no frames, they are not of one size, or they are no pixels.
    """
    if isinstance(frames, Tensor):
        frames = tensor_pixels(frames)
        if frames.ndim == 4 and frames.shape[1] == 3:
            frames = np.ascontiguousarray(frames.transpose(0, 2, 3, 1))
    if isinstance(frames, np.ndarray) and (frames.ndim != 4 or frames.shape[-1] != 3):
        raise ValueError(f"the clip is an array {list(frames.shape)}; give frames [F, H, W, 3], or a list of pictures")
    if len(frames) == 0:
        raise ValueError("there are no frames; give at least one")
    if isinstance(frames, np.ndarray) and frames.dtype == np.uint8:
        return frames
    pixels = [pixels_of(frame) for frame in frames]
    for number, one in enumerate(pixels):
        if one.shape != pixels[0].shape:
            shape, first = ("x".join(map(str, (image.shape[1], image.shape[0]))) for image in (one, pixels[0]))
            raise ValueError(f"frame {number} is {shape}, and those before it {first}; give frames of one size")
    return np.stack(pixels)
