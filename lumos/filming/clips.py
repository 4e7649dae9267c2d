"""Filmed clips by number: the same clip for the same number and seed, and no picture in both splits."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from torch import Tensor

from lumos.filming.picture import Picture, read_pictures
from lumos.filming.scene import scene
from xllmx.rng import generator_for, seed_for
from xllmx.settings.number_range import Range, check_numbers

_HELD_OUT = 8
"""One picture in so many is for evaluation alone."""


@dataclass(frozen=True, kw_only=True)
class ClipSize:
    """How large and how long clips are."""

    num_frames: Annotated[int, Range(1, 10_001)]
    """Frames."""
    height: Annotated[int, Range(1, 8192)]
    """Pixels."""
    width: Annotated[int, Range(1, 8192)]
    """Pixels."""

    def __post_init__(self) -> None:
        check_numbers(self)


class FilmedClips:
    """Clip i as (uint8 [3, F, H, W], False): whole, with no window to be cut from it. Filmed anew each time."""

    def __init__(self, pictures: Sequence[Picture], *, num: int, seed: int, size: ClipSize) -> None:
        """`num` clips of these pictures; `seed` owns the randomness."""
        self._pictures, self._num, self._seed, self._size = pictures, num, seed, size
        self.lengths: Sequence[int] = [1] * num

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, index: int) -> tuple[Tensor, bool]:
        generator = generator_for(self._seed, index, stream="filmed")
        return scene(self._pictures, generator, **asdict(self._size)), False


def pictures_of(folder: Path, split: Literal["train", "eval"]) -> list[Picture]:
    """Return the pictures of a split: one in eight, by a hash of its name, is for evaluation.

    Raises:
        ValueError: what `read_pictures` raises, or the folder has none for this split.
    """
    pictures = read_pictures(folder)
    found = [picture for picture in pictures if is_held_out(picture.name) == (split == "eval")]
    if not found:
        which = "one picture in eight, by a hash of its name," if split == "eval" else "seven pictures in eight"
        raise ValueError(f"{folder}: {which} go to this split ({split}), and of {len(pictures)} none does; add some")
    return found


def is_held_out(name: str) -> bool:
    """Return whether a picture of this name is for evaluation alone."""
    return seed_for(0, stream=name) % _HELD_OUT == 0
