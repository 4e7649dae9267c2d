"""Which frames of a video are encoded, and which make its motion score (README section 9).

Frame i of a clip at `fps` is frame round(i / fps * r) of a source of r frames a second, halves to the even one:

    24 fps -> 8 fps    0 3 6 9 ...        30 fps -> 8 fps    0 4 8 11 15 19 22 26 30 ...
"""

from fractions import Fraction
from math import floor

from lumos.media.frames import SLOW_SOURCE, TOO_LONG, TOO_SHORT, MediaError, Rate

LEAST_FRAMES = 9
"""At the target rate; what is shorter was not trained on."""

MOTION_EVERY_S = Fraction(1, 2)
_MOTION_PAIRS = 8


def clip_frames(num_frames: int, source_fps: Rate, *, fps: Rate, frames_per_latent: int, most_s: Rate) -> list[int]:
    """Numbers of the frames of a source that are encoded: the whole clip, cut to whole latents.

    The release took 4m + 1 of them, and its first latent was one frame; here 4m are taken, and all latents are alike.

    Raises:
        MediaError: the source has less than half of `fps`, is too short or longer than `most_s` seconds.
    """
    length = num_frames / Fraction(source_fps)
    if source_fps < Fraction(fps) / 2:
        raise MediaError("source", SLOW_SOURCE, f"{float(source_fps):g} fps, asked for {float(fps):g}")
    if length > most_s:
        raise MediaError("source", TOO_LONG, f"{float(length):.2f} s, at most {float(most_s):g} s; cut it into scenes")
    found = floor(length * Fraction(fps) + Fraction(1, 5))
    if found < LEAST_FRAMES:
        raise MediaError("source", TOO_SHORT, f"{found} frames at {float(fps):g} fps, at least {LEAST_FRAMES}")
    whole = found // frames_per_latent * frames_per_latent
    return [min(round(i / Fraction(fps) * Fraction(source_fps)), num_frames - 1) for i in range(whole)]


def motion_frames(num_frames: int, source_fps: Rate) -> list[int]:
    """Numbers of the frames, half a second apart and at most 4 s in all, between which motion is measured.

    Raises:
        MediaError: there are not two.
    """
    numbers = [round(i * MOTION_EVERY_S * Fraction(source_fps)) for i in range(_MOTION_PAIRS + 1)]
    found = [number for number in numbers if number < num_frames]
    if len(found) < 2:
        raise MediaError(
            "source", TOO_SHORT, f"{float(num_frames / Fraction(source_fps)):.2f} s, at least half a second"
        )
    return found
