"""Frames of a video whose numbers a rule chooses, from its number of frames and its rate, found by time or by number.

`lumos.media.reading` cuts a window out of a video's middle; here a rule may take frames from all of it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from lumos.media.decoding.video import Shown, Video
from lumos.media.frames import FrameChoice, nearest_in_time
from lumos.media.media_error import GAP, SIZE_CHANGES, TOO_SHORT, UNDECODABLE, MediaError
from lumos.media.reading import media_errors, require_file

Rule = Callable[[int, Fraction], Sequence[int]]
"""Number of frames, frames per second -> the numbers of those that are wanted, none below the one before it."""


@dataclass(frozen=True, kw_only=True)
class ChosenFrames:
    """What was read of a video."""

    frames: np.ndarray
    """One after the other, as they were prepared."""
    seconds: float
    """How long the whole video is."""


def read_chosen(
    path: str | Path,
    rule: Rule,
    *,
    step_s: Fraction,
    prepare: Callable[[UInt8[np.ndarray, "H W 3"]], np.ndarray],
    least_px: int | None = None,
    frame_choice: FrameChoice = "time",
) -> ChosenFrames:
    """The frames of a video that `rule` chooses, each prepared at once, so that no other is held.

    By "time", a number stands for the time at which that frame is shown where frames come evenly; the frame nearest to
    it is taken, and none farther than half of `step_s` (or of the time between two frames, if that is longer). By
    "released", frames are counted. Raises `MediaError` with the reason, also for what `rule` and `prepare` raise.

    Args:
        path: the file.
        rule: chooses; an empty choice is too short.
        step_s: seconds between two wanted frames.
        prepare: cuts or scales a frame, as it is shown.
        least_px: a side that `prepare` needs at least; larger HDR frames may be halved down to it.
        frame_choice: how frames are found.
    """
    with media_errors(path):
        require_file(path)
        with Video(path) as video:
            find = _by_time if frame_choice == "time" else _by_number
            seconds, found = find(video, path, rule, step_s)
            frames: list[np.ndarray] = []
            shape: tuple[int, ...] | None = None
            for shown in found:
                if shown is None:
                    frames.append(frames[-1])
                    continue
                if shown.damaged:
                    raise MediaError(path, UNDECODABLE, f"damaged data at frame {len(frames)} of the clip")
                pixels = video.pixels(shown.frame, least_px=least_px)
                if shape not in (None, pixels.shape):
                    raise MediaError(path, SIZE_CHANGES, f"at frame {len(frames)} of the clip")
                shape = pixels.shape
                frames.append(prepare(pixels))
            return ChosenFrames(frames=np.stack(frames), seconds=seconds)


def _by_time(video: Video, path: str | Path, rule: Rule, step_s: Fraction) -> tuple[float, Iterator[Shown | None]]:
    """Seconds of the video, and the frames; None where it is the one before once more."""
    first, end = video.span()
    length, rate = video.seconds(end - first), video.rate or 1 / step_s
    wanted = _wanted(rule, round(length * rate), rate)
    reach = max(step_s, 1 / rate) / 2 + video.seconds(1)
    times = [number / rate for number in wanted]
    begin = first + video.ticks(times[0])

    def frames() -> Iterator[Shown | None]:
        shown = ((video.seconds(stamp - first), frame) for stamp, frame in video.since(begin))
        previous: Shown | None = None
        for time, (seen_at, frame) in zip(times, nearest_in_time(shown, times), strict=True):
            if abs(seen_at - time) > reach:
                raise MediaError(path, GAP, f"no frame within {float(reach):.3f} s of {float(time):.3f} s")
            yield None if frame is previous else frame
            previous = frame

    return float(length), frames()


def _by_number(video: Video, path: str | Path, rule: Rule, step_s: Fraction) -> tuple[float, Iterator[Shown | None]]:
    del step_s
    if not video.rate:
        raise MediaError(path, UNDECODABLE, "the file does not say its frame rate")
    stated = video.stated_number()
    wanted = _wanted(rule, stated, video.rate)

    def frames() -> Iterator[Shown | None]:
        number = 0
        for index, shown in enumerate(video.from_start()):
            times = 0
            while number < len(wanted) and wanted[number] == index:
                yield None if times else shown
                number, times = number + 1, times + 1
            if number == len(wanted):
                return
        raise MediaError(path, TOO_SHORT, f"{number} of the {len(wanted)} frames asked for could be decoded")

    return float(stated / video.rate), frames()


def _wanted(rule: Rule, num_frames: int, rate: Fraction) -> Sequence[int]:
    if num_frames < 1 or not (wanted := rule(num_frames, Fraction(rate))):
        raise MediaError("source", TOO_SHORT, f"{num_frames} frames at {float(rate):g} a second")
    return wanted
