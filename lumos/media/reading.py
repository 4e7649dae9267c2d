"""Images and clips from files, or the reason why not: whatever a damaged file sets off ends as a `MediaError`."""

import errno
import shlex
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from lumos.media.crop import Crop, crop_size, crop_to_bucket
from lumos.media.decoding.decord_frames import Reader, choose_reader, frames_by_number
from lumos.media.decoding.pictures import picture_pixels
from lumos.media.decoding.video import Shown, Video
from lumos.media.frames import FrameChoice, Rate, frame_indices, frame_times, nearest_in_time
from lumos.media.media_error import (
    GAP,
    MISSING,
    SIZE_CHANGES,
    SLOW_SOURCE,
    TOO_LONG,
    TOO_SHORT,
    UNDECODABLE,
    UNREADABLE,
    MediaError,
)
from xllmx.disk.files import WriteError
from xllmx.settings.argument_types import checked_types
from xllmx.store.access import StoreError

VIDEO_SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".mpg", ".mpeg", ".ts", ".wmv", ".ogv"}
"""How files end that are taken for videos where a picture could stand too."""
MOST_CLIP_BYTES = 1 << 32
"""Of the pixels of a clip that is read whole: a file of 60 kB may hold hours of black."""
_NO_SUCH_NAME = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}


@checked_types
def read_image(path: str | Path) -> UInt8[np.ndarray, "H W 3"]:
    """Pixels of an image file as `picture_pixels` gives them. Raises `MediaError`; for a video it says what to do."""
    with media_errors(path):
        require_file(path)
        try:
            with Image.open(path) as image:
                return picture_pixels(image)
        except UnidentifiedImageError as error:
            if Path(path).suffix.lower() not in VIDEO_SUFFIXES:
                raise
            first = f"ffmpeg -i {shlex.quote(str(path))} -frames:v 1 {shlex.quote(str(Path(path).with_suffix('.png')))}"
            raise MediaError(
                path, UNDECODABLE, f"a video, not a picture; take a frame of it, as the first: {first}"
            ) from error


@checked_types
def read_clip(
    path: str | Path,
    *,
    fps: Rate,
    duration: Rate,
    size: Crop | None = None,
    frame_choice: FrameChoice = "time",
    reader: Reader = "auto",
) -> UInt8[np.ndarray, "F H W 3"]:
    """The n = round(fps * duration) frames of a video that make a clip, cropped to `size` if one is given.

    By "time", they are the frames nearest to `frame_times`, and none farther than half of 1 / fps from its time; by
    "released", those that `frame_indices` numbers, which decord seeks where it is the `reader`. Decoded as a stream: a
    frame that is not wanted is never held, one that is wanted is cropped at once. Raises `MediaError` with the reason.
    """
    used = choose_reader(reader, frame_choice)
    with media_errors(path):
        require_file(path)
        with Video(path) as video:
            if frame_choice == "time":
                shown = _by_time(video, path, fps=fps, duration=duration)
                whole = _pixels(video, shown, path, size=size)
            else:
                whole = _as_released(video, path, fps=fps, duration=duration, size=size, reader=used)
            frames = _of_one_size(whole, path)
            return _stacked(frames if size is None else (crop_to_bucket(pixels[None], size)[0] for pixels in frames))


def read_frames(path: str | Path, *, most: int) -> UInt8[np.ndarray, "F H W 3"]:
    """All frames of a video. Raises `MediaError`, also for damaged ones and more than `most`, or `MOST_CLIP_BYTES`."""
    with media_errors(path):
        require_file(path)
        with Video(path) as video:
            frames = _of_one_size(_pixels(video, video.from_start(), path, size=None), path)
            return _stacked(_at_most(most, frames, path))


def first_shown(path: str | Path) -> tuple[UInt8[np.ndarray, "H W 3"], Fraction | None]:
    """The first frame of a video, and its frames a second, if it says so. Raises `MediaError`."""
    with media_errors(path):
        require_file(path)
        with Video(path) as video:
            for pixels in _pixels(video, islice(video.from_start(), 1), path, size=None):
                return pixels, video.rate
            raise MediaError(path, UNDECODABLE, "it has no frames")


def _of_one_size(frames: Iterable[np.ndarray], path: str | Path) -> Iterator[np.ndarray]:
    """The same frames; raises `MediaError` at one of another size than the first."""
    shape = None
    for number, pixels in enumerate(frames):
        shape = shape or pixels.shape
        if pixels.shape != shape:
            raise MediaError(path, SIZE_CHANGES, f"at frame {number} of the clip")
        yield pixels


def _at_most(most: int, frames: Iterable[np.ndarray], path: str | Path) -> Iterator[np.ndarray]:
    """The same frames; raises `MediaError` for more than `most`, or `MOST_CLIP_BYTES`."""
    for number, pixels in enumerate(frames, 1):
        if number > most:
            raise MediaError(path, TOO_LONG, f"more than {most} frames")
        if number * pixels.nbytes > MOST_CLIP_BYTES:
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            rule = f"at {size} at most {number - 1} frames are read; cut it shorter, or scale it down"
            raise MediaError(path, TOO_LONG, rule)
        yield pixels


def _stacked(frames: Iterable[np.ndarray]) -> np.ndarray:
    """Frames of one size as one array that grows in place: of none is there a second copy. ValueError without any."""
    whole, number = np.empty(0, np.uint8), 0
    for pixels in frames:
        if number == len(whole):
            whole.resize((number + number // 8 + 1, *pixels.shape), refcheck=False)
        whole[number] = pixels
        number += 1
    if not number:
        raise ValueError("it has no frames")
    whole.resize((number, *whole.shape[1:]), refcheck=False)
    return whole


def _pixels(
    video: Video, frames: Iterable[Shown], path: str | Path, *, size: Crop | None
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Frames as they are seen, HDR no larger than `size` needs. Raises `MediaError` for one of damaged data."""
    for number, shown in enumerate(frames):
        bucket = None if size is None else crop_size(shown.frame.width, shown.frame.height, size)
        pixels = video.pixels(shown.frame, least_px=max(bucket) if bucket else None)
        if shown.damaged:
            raise MediaError(path, UNDECODABLE, f"damaged data at frame {number} of the clip")
        yield pixels


def _by_time(video: Video, path: str | Path, *, fps: Rate, duration: Rate) -> Iterator[Shown]:
    first, end = video.span()
    step, tick = 1 / Fraction(fps), video.seconds(1)
    rate = video.rate or Fraction(fps)
    times = frame_times(video.seconds(end - first), rate, fps=fps, duration=duration, blur=min(2 * tick, step / 4))
    stamped = video.since(first + video.ticks(times[0]))
    shown = ((video.seconds(stamp - first), frame) for stamp, frame in stamped)
    previous = None
    for time, (seen_at, frame) in zip(times, nearest_in_time(shown, times), strict=True):
        if abs(seen_at - time) > step / 2 or seen_at == previous:
            said = f"no frame within {float(step / 2):.3f} s of {float(time):.3f} s"
            if rate < fps:
                raise MediaError(path, SLOW_SOURCE, f"{float(rate):g} fps, asked for {float(fps):g}: {said}")
            raise MediaError(path, GAP, said)
        previous = seen_at
        yield frame


def _as_released(
    video: Video,
    path: str | Path,
    *,
    fps: Rate,
    duration: Rate,
    size: Crop | None,
    reader: Literal["pyav", "decord"],
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    if not video.rate:
        raise MediaError(path, UNDECODABLE, "the file does not say its frame rate")
    wanted = frame_indices(video.stated_number(), video.rate, fps=fps, duration=duration)
    if reader == "decord" and (sought := frames_by_number(video, path, wanted)) is not None:
        yield from sought
        return
    number = 0
    counted = islice(enumerate(video.from_start()), wanted[-1] + 1)
    for pixels in _pixels(video, (shown for index, shown in counted if index in wanted), path, size=size):
        number += 1
        yield pixels
    if number < len(wanted):
        raise MediaError(path, TOO_SHORT, f"{number} of the {len(wanted)} frames asked for could be decoded")


@contextmanager
def media_errors(path: str | Path) -> Iterator[None]:
    """Everything that reading `path` raises becomes a `MediaError` that names it.

    Pillow and PyAV raise whatever a damaged file makes them stumble over, `TypeError`, `IndexError` and `MemoryError`
    among others: here is no list to be complete.
    """
    try:
        yield
    except MediaError as error:
        raise MediaError(path, error.reason, error.detail) from error
    except (StoreError, WriteError):  # no fault of this file, and the next one would fare no better
        raise
    except Exception as error:
        raise MediaError(path, UNDECODABLE, _one_line(error)) from error


def require_file(path: str | Path) -> None:
    """Raise `MediaError` for what is no file that can be opened; it is looked at first, since opening a pipe waits."""
    try:
        found = Path(path).stat()
        if is_regular := stat.S_ISREG(found.st_mode):
            Path(path).open("rb").close()
    except OSError as error:
        reason = MISSING if error.errno in _NO_SUCH_NAME else UNREADABLE
        raise MediaError(path, reason, error.strerror or "") from error
    except ValueError as error:  # a null byte in the name
        raise MediaError(path, MISSING, str(error)) from error
    if not is_regular:
        raise MediaError(path, MISSING, "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file")
    if found.st_size == 0:
        raise MediaError(path, UNDECODABLE, "the file is empty")


def _one_line(error: Exception) -> str:
    """What was raised, as a line of at most 200 characters that can be written anywhere."""
    text = (error.strerror if isinstance(error, OSError | av.error.FFmpegError) else None) or str(error)
    if not isinstance(error, OSError | ValueError):
        text = f"{type(error).__name__}: {text}"
    line = " ".join(text.split()).encode("utf-8", "backslashreplace").decode("utf-8")
    return (line if line.isprintable() else ascii(line))[:200]
