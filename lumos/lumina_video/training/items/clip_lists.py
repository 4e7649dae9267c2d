"""Lists of videos that are no latents yet: their rows, and what they say of the videos."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from lumos.lumina_video.data.latent_set import DRAWN
from lumos.lumina_video.data.latents import MOST_MOTION, UNKNOWN_MOTION
from lumos.lumina_video.data.row_lists import read_rows, usable
from lumos.media.data_yaml import entries_of
from lumos.media.decoding.video_facts import VideoFacts
from xllmx.subset import Subset

SAID = ("seconds", "fps", "width", "height")
"""What a row says of its video, as the released tools write it; all of them, or the file is opened."""
_REMEDY = 'write {"path": ..., "prompt": ...} for each, or a CSV with the columns path,text'


@dataclass(frozen=True, kw_only=True)
class ListedClip:
    """A row."""

    path: Path
    """The file; in its list relative to that."""
    caption: str
    """Its text."""
    motion: float
    """Its motion score, `unimatch_flow`; -1: unknown."""
    said: VideoFacts | None
    """What the list says of the video; None: not all that is needed."""


@dataclass(frozen=True, kw_only=True)
class ClipLists:
    """The lists of a data YAML, or one."""

    rows: list[ListedClip]
    """Of all lists."""
    taken: list[int]
    """Of each clip of the data set its row: a ratio takes a row several times, or not at all."""
    types: list[str]
    """Of each clip the type of its list."""
    subsets: list[Subset]
    """Clips of which each epoch sees a part."""


def read_clip_lists(data: Path) -> ClipLists:
    """Return the rows of a list (`row_lists.LISTS`), or of those that a data YAML names; no video is opened.

    Rows that name no video are left out, with a warning.

    Raises:
        ValueError: one is damaged, or no row of it names a video.
    """
    rows: list[ListedClip] = []
    taken_rows: list[int] = []
    types: list[str] = []
    subsets: list[Subset] = []
    for entry in entries_of(data, drawn=DRAWN):
        found = _rows_of(entry.local)
        taken = entry.chosen(len(found))
        subsets += entry.subset(len(taken_rows), len(taken_rows) + len(taken))
        taken_rows += [len(rows) + place for place in taken.tolist()]
        types += [entry.type] * len(taken)
        rows += found
    return ClipLists(rows=rows, taken=taken_rows, types=types, subsets=subsets)


def _rows_of(path: Path) -> list[ListedClip]:
    rows = read_rows(path, remedy=_REMEDY)
    if not isinstance(rows, list):
        raise ValueError(f"{path}: no list of videos; {_REMEDY}")
    return usable(path, rows, lambda row, where: _row(row, where, path.parent))


def _row(found: Any, where: str, folder: Path) -> ListedClip:
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in ("path", "prompt")):
        raise ValueError(f"{where} is no video ({str(found)[:60]}); {_REMEDY}")
    if "pkl" in found:
        raise ValueError(f"{where} is of a latent, and the first of a video; keep them in lists of their own")
    numbers = {name: _number(found, name, where) for name in SAID}
    motion = _number(found, "unimatch_flow", where)
    said = None
    if all(value is not None and value > 0 for value in numbers.values()):
        seconds, fps, width, height = (float(numbers[name] or 0) for name in SAID)
        said = VideoFacts(seconds=seconds, fps=fps, width=round(width), height=round(height))
    return ListedClip(
        path=folder / found["path"],
        caption=found["prompt"],
        motion=motion if motion is not None and motion >= 0 else UNKNOWN_MOTION,
        said=said,
    )


def _number(row: Mapping[str, Any], name: str, where: str) -> float | None:
    """A number of a row, which the tools wrote as one or as text; None where there is none."""
    value = row.get(name)
    if value is None:
        return None
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else float("nan")
    except (ValueError, OverflowError):
        number = float("nan")
    if not isfinite(number) or abs(number) > MOST_MOTION:
        raise ValueError(f"{where}: {name} is {value!r:.60}; it must be a number; correct it, or leave it out")
    return number
