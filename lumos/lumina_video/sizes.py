"""Which sizes a clip may have, checked before anything is loaded, and the shape of its latents.

The VAE makes one latent of 4 frames of 8x8 pixels; a token is a patch of 1 or 2 latent frames of 2x2 or 4x4 latents. So
a side must hold whole patches of every scale that a run reaches, and so must the length::

    preset             reaches          sides a multiple of    frames a multiple of
    f24F96R960         1x2              16                     4
    ...-MultiScale     1x2, 2x2, 2x4    32                     8

A picture is one frame and one latent frame, whatever the scale: where a patch takes two, the network repeats it.
"""

import math
from dataclasses import dataclass
from typing import Annotated

from lumos.lumina_video.preset import FlowPreset
from xllmx.settings.number_range import Range, check_numbers
from xllmx.settings.setting import SettingError


@dataclass(frozen=True, kw_only=True)
class Compression:
    """What one latent of the VAE stands for."""

    spatial: Annotated[int, Range(1, 1024)] = 8
    """Pixels of its height and width."""
    temporal: Annotated[int, Range(1, 1024)] = 4
    """Frames."""

    def __post_init__(self) -> None:
        check_numbers(self)


RELEASED = Compression()
"""The VAE of CogVideoX, with which the released models were trained."""


def latent_shape(width: int, height: int, frames: int, *, vae: Compression = RELEASED) -> tuple[int, int, int]:
    """Return (T, H, W), the latent frames, rows and columns of a clip: 1248x704 and 96 frames are (24, 88, 156).

    One frame, a picture, is one latent frame.

    Raises:
        SettingError: one of them is no positive multiple of what a latent stands for; names the nearest that are.
    """
    reason = "one latent of the VAE"
    _check("width", width, unit=vae.spatial, reason=reason)
    _check("height", height, unit=vae.spatial, reason=reason)
    _check_length(frames, unit=vae.temporal, reason=reason)
    return max(1, frames // vae.temporal), height // vae.spatial, width // vae.spatial


def check_sizes(
    width: int, height: int, *, frames: int, preset: FlowPreset, vae: Compression = RELEASED
) -> tuple[int, int, int]:
    """Return (T, H, W), the latent frames, rows and columns of a clip that the patches of every scale reached fill.

    The clip then has exactly `frames` frames. (An odd number of latent frames is decoded with its last one twice, and
    cut: a matter of the VAE. No size passes that would be rounded in silence.)

    Raises:
        SettingError: a size that is no positive multiple of the patches; names the nearest that are.
    """
    side = vae.spatial * math.lcm(*(scale.pixels for scale in preset.scales))
    length = vae.temporal * math.lcm(*(scale.frames for scale in preset.scales))
    reason = f"one patch of each scale that this preset reaches: {', '.join(map(str, preset.scales))}"
    _check("width", width, unit=side, reason=reason)
    _check("height", height, unit=side, reason=reason)
    _check_length(frames, unit=length, reason=reason)
    return latent_shape(width, height, frames, vae=vae)


def _check_length(frames: int, *, unit: int, reason: str) -> None:
    if frames != 1:
        _check("num_frames", frames, unit=unit, reason=reason, also=", or 1 for a picture")


def _check(name: str, value: int, *, unit: int, reason: str, also: str = "") -> None:
    if value < 1 or value % unit:
        below = value // unit * unit
        nearest = f"{below} or {below + unit}" if below > 0 else f"{unit}"
        raise SettingError(name, f"is {value}; it must be a multiple of {unit} ({reason}); take {nearest}{also}")
