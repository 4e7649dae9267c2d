"""A scale: the patch, frames x pixels x pixels of the latent, that one token stands for."""

import re
from dataclasses import dataclass
from typing import Annotated

from xllmx.settings.number_range import Range, check_numbers

_SPELLINGS = (
    re.compile(r"(?P<frames>[1-9]\d*)x(?P<pixels>[1-9]\d*)"),
    re.compile(r"(?P<pixels>[1-9]\d*)-(?P<frames>[1-9]\d*)"),
)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A patch size. Two spellings of the same, told apart by their sign: presets write frames first, weights last.

    ::

        frames 2, pixels 4      "2x4" in presets and settings (`str`)      "4-2" in parameter names (`parameter_name`)
    """

    frames: Annotated[int, Range(1, 64)]
    """Latent frames of a patch."""
    pixels: Annotated[int, Range(1, 64)]
    """Its height and width in latent pixels."""

    def __post_init__(self) -> None:
        check_numbers(self, "scale: ")

    @classmethod
    def parse(cls, text: str) -> "Scale":
        """Return the scale that either spelling names.

        Raises:
            ValueError: it is neither.
        """
        for spelling in _SPELLINGS:
            if found := spelling.fullmatch(text.strip()):
                return cls(frames=int(found["frames"]), pixels=int(found["pixels"]))
        raise ValueError(f"scale is {text!r}; write frames x pixels, for example 2x4")

    def __str__(self) -> str:
        return f"{self.frames}x{self.pixels}"

    @property
    def parameter_name(self) -> str:
        """How names of weights spell it, pixels first: "4-2"."""
        return f"{self.pixels}-{self.frames}"

    def token_width(self, channels: int) -> int:
        """Return how many numbers of a latent of `channels` channels one token holds."""
        return self.frames * self.pixels**2 * channels
