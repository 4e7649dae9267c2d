"""Which sizes a clip may have, checked before anything is loaded, and the shape of its latents.

The VAE turns 4 frames of 8x8 pixels into one latent; a patch of the network is 1 or 2 latent frames of 2x2 or 4x4
latents. A side must therefore hold whole patches of every scale that the run reaches, and so must the length.
"""

import math
from collections.abc import Iterable

from lumos.lumina_video.preset import FlowPreset

SPATIAL = 8
"""Pixels per latent row and column."""
TEMPORAL = 4
"""Frames per latent frame."""


def latent_shape(width: int, height: int, frames: int) -> tuple[int, int, int]:
    """Returns (T, H, W), latent frames, rows and columns, of a clip of whole latents: 1248x704, 96 -> (24, 88, 156).

    Raises:
        ValueError: a side is no positive multiple of 8 pixels, or the frames no positive multiple of 4.
    """
    _check("width", width, SPATIAL, "one latent column")
    _check("height", height, SPATIAL, "one latent row")
    _check("frames", frames, TEMPORAL, "one latent frame")
    return frames // TEMPORAL, height // SPATIAL, width // SPATIAL


def check_sizes(width: int, height: int, *, frames: int, preset: FlowPreset) -> tuple[int, int, int]:
    """Returns (T, H, W), the latent frames, rows and columns of a clip that every scale of the preset can cut.

    A clip of `frames` has exactly so many: an odd number of latent frames is decoded with its last one twice and cut.

    Raises:
        ValueError: a side or a length that does not hold whole patches; names the nearest ones that do.
    """
    pixels = _coarsest(SPATIAL * scale.pixels for scale in preset.scales)
    length = _coarsest(TEMPORAL * scale.frames for scale in preset.scales)
    reached = f"a patch of a scale that this preset reaches ({', '.join(map(str, preset.scales))})"
    _check("width", width, pixels, reached)
    _check("height", height, pixels, reached)
    _check("frames", frames, length, reached)
    return latent_shape(width, height, frames)


def _coarsest(sizes: Iterable[int]) -> int:
    return math.lcm(*sizes)


def _check(name: str, value: int, unit: int, why: str) -> None:
    if value < 1 or value % unit:
        below, above = value // unit * unit, (value // unit + 1) * unit
        nearest = f"{below} or {above}" if below > 0 else f"{unit}"
        kind = "frames" if name == "frames" else "pixels"
        raise ValueError(
            f"{name} is {value}; it must be a multiple of {unit} {kind}, the size of {why}: the nearest is {nearest}"
        )
