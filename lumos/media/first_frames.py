"""What a clip is to begin with: a picture, or a clip to go on from, in any of the forms that people hold one in."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from lumos.media.clip_pixels import ClipInput, clip_pixels
from lumos.media.inputs import ImageInput, pixels_of
from lumos.media.reading import VIDEO_SUFFIXES, first_shown, read_frames

MOST_FRAMES = 100_000
"""Of a clip that is read."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FirstFrames:
    """A picture or a clip that was looked at; a file is read whole only where its pixels are asked for."""

    name: str
    """What errors call it."""
    is_clip: bool
    """Whether it is a clip, be it of one frame."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    rate: Fraction | None = None
    """Frames per second, where the file says it."""
    source: np.ndarray | Path
    """The pixels [F, Hpx, Wpx, 3], or the file of a clip."""

    @cached_property
    def pixels(self) -> UInt8[np.ndarray, "F Hpx Wpx 3"]:
        """All frames. `MediaError` for a file that is damaged further on."""
        return read_frames(self.source, most=MOST_FRAMES) if isinstance(self.source, Path) else self.source

    @property
    def num_frames(self) -> int:
        """F."""
        return len(self.pixels)


FirstInput: TypeAlias = ImageInput | ClipInput | FirstFrames
"""What a clip may begin with: a picture, or a clip that is gone on from."""


def first_frames_of(given: FirstInput) -> FirstFrames:
    """Return what is to be known of a picture or a clip: a video file, frames [F, H, W, 3], a list of pictures.

    Raises:
        ValueError: it is none; `MediaError` for a file that is missing or damaged.
    """
    if isinstance(given, FirstFrames):
        return given
    if isinstance(given, str | Path) and Path(given).suffix.lower() in VIDEO_SUFFIXES:
        first, rate = first_shown(given)
        height, width = first.shape[:2]
        return FirstFrames(name=str(given), is_clip=True, width=width, height=height, rate=rate, source=Path(given))
    if isinstance(given, np.ndarray | Tensor):
        is_clip = given.ndim == 4
    else:
        is_clip = isinstance(given, Sequence) and not isinstance(given, str)
    pixels = clip_pixels(cast(ClipInput, given)) if is_clip else pixels_of(cast(ImageInput, given))[None]
    height, width = pixels.shape[1:3]
    name = str(given) if isinstance(given, str | Path) else "the clip" if is_clip else "the image"
    return FirstFrames(name=name, is_clip=is_clip, width=width, height=height, source=pixels)
