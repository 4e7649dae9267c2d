"""Which frames of a video are encoded, and which make its motion score (README section 9).

Frame i of a clip at `fps` is frame round(i / fps * r) of a source of r frames a second, halves to the even one:

    24 fps -> 8 fps    0 3 6 9 ...        30 fps -> 8 fps    0 4 8 11 15 19 22 26 30 ...

It is reckoned in floats, in that order, as in the release: 1/12 and 1/24 of a second are none, so that some halves fall
to the other side (30 fps -> 12 fps: frame 97 is 243, and would be 242 by fractions), and so do some lengths.
"""

from fractions import Fraction
from math import floor

from lumos.media.frames import Rate
from lumos.media.media_error import SLOW_SOURCE, TOO_LONG, TOO_SHORT, MediaError

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
    source, target = float(source_fps), float(fps)
    length = num_frames / source
    if source < target / 2:
        raise MediaError("source", SLOW_SOURCE, f"{source:g} fps, asked for {target:g}")
    if length > most_s:
        remedy = "a video is held and encoded as a whole: cut it into scenes, or raise --most_seconds"
        raise MediaError("source", TOO_LONG, f"{length:.2f} s, at most {float(most_s):g} s; {remedy}")
    found = floor(length * target + 0.2)
    if found < LEAST_FRAMES:
        raise MediaError("source", TOO_SHORT, f"{found} frames at {target:g} fps, at least {LEAST_FRAMES}")
    whole = found // frames_per_latent * frames_per_latent
    return [min(round(i / target * source), num_frames - 1) for i in range(whole)]


def motion_frames(num_frames: int, source_fps: Rate) -> list[int]:
    """Numbers of the frames, half a second apart and at most 4 s in all, between which motion is measured.

    Raises:
        MediaError: there are not two.
    """
    numbers = [round(float(i * MOTION_EVERY_S) * float(source_fps)) for i in range(_MOTION_PAIRS + 1)]
    found = [number for number in numbers if number < num_frames]
    if len(found) < 2:
        raise MediaError(
            "source", TOO_SHORT, f"{float(num_frames / Fraction(source_fps)):.2f} s, at least half a second"
        )
    return found
