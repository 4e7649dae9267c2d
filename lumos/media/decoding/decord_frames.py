"""Frames of a video by their numbers, with decord: it seeks to a number, where PyAV decodes all frames before it.

It gives the pixels that PyAV gives for the files that are taken here, H.264 and HEVC in MP4 or Matroska, upright, with
square pixels, in ordinary range; others are left to PyAV. What it does not say is whether a frame was decoded from
damaged data.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from lumos.media.decoding.hdr import HLG, PQ
from lumos.media.decoding.video import Video
from lumos.media.frames import FrameChoice
from xllmx.settings.setting import SettingError

Reader = Literal["auto", "pyav", "decord"]
"""What reads the frames of a video; auto is decord where it is installed and frames are found by number."""

_CODECS, _CONTAINERS, _PIXELS = ("h264", "hevc"), ("mov", "matroska"), ("yuv420p", "yuvj420p")
_AT_ONCE = 8
"""Frames that are held before they are cropped."""


def choose_reader(reader: Reader, frame_choice: FrameChoice) -> Literal["pyav", "decord"]:
    """Return which reader is used; the one place where that is decided.

    Raises:
        ValueError: decord is asked for and not installed, or frames are not found by number.
    """
    by_number, installed = frame_choice == "released", importlib.util.find_spec("decord") is not None
    if reader == "decord" and not installed:
        raise SettingError("reader", "is decord, which is not installed; run: pip install decord2")
    if reader == "decord" and not by_number:
        raise SettingError("reader", "is decord, which finds frames by number; give --frame_choice released too")
    return "decord" if reader != "pyav" and by_number and installed else "pyav"


def frames_by_number(
    video: Video, path: str | Path, numbers: Sequence[int]
) -> Iterator[UInt8[np.ndarray, "H W 3"]] | None:
    """Return the frames of these numbers, rising; None where the file is left to PyAV."""
    if not _is_plain(video):
        return None
    decord: Any = importlib.import_module("decord")
    reader = decord.VideoReader(str(Path(path).absolute()), num_threads=1)
    if len(reader) != video.stated_number() or numbers[-1] >= len(reader):
        return None  # frames that are not shown, or not there: they are counted in another way
    parts = [list(numbers[start : start + _AT_ONCE]) for start in range(0, len(numbers), _AT_ONCE)]
    try:
        first = reader.get_batch(parts[0]).asnumpy()
    except decord.DECORDError:  # of some widths, 48 for one, decord 3.4 cannot copy a frame
        return None
    return chain(first, (frame for part in parts[1:] for frame in reader.get_batch(part).asnumpy()))


def _is_plain(video: Video) -> bool:
    codec, container = video.stream.codec_context, video.container_name
    first = next(video.from_start(), None)
    return (
        codec.name in _CODECS
        and container.split(",")[0] in _CONTAINERS
        and codec.pix_fmt in _PIXELS
        and codec.color_trc not in (PQ, HLG)
        and (video.stream.sample_aspect_ratio or Fraction(1)) == 1
        and first is not None
        and first.frame.side_data.get("DISPLAYMATRIX") is None
    )
