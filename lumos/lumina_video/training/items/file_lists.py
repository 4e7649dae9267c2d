"""Lists of images or videos that are no latents yet: their rows, and what they say of the videos."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from lumos.lumina_video.data.latent_set import DRAWN
from lumos.lumina_video.data.latents import MOST_MOTION, UNKNOWN_MOTION
from lumos.lumina_video.data.row_lists import LISTS, first_object, read_rows, usable
from lumos.lumina_video.training.task_config import ScaleTask
from lumos.media.data_yaml import entries_of
from lumos.media.decoding.video_facts import VideoFacts
from xllmx.subset import Subset

SAID = ("seconds", "fps", "width", "height")
"""What a row says of its video, as the released tools write it; all of them, or the file is opened."""
MediaType = Literal["image", "video"]
"""What files are taken for."""
_REMEDY = 'write {"path": ..., "prompt": ...} for each, or a CSV with the columns path,text'


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """A row."""

    path: Path
    """The file; in its list relative to that."""
    caption: str
    """Its text."""
    motion: float = UNKNOWN_MOTION
    """The motion score of a video, `unimatch_flow`; -1: unknown."""
    said: VideoFacts | None = None
    """What the list says of the video; None: not all that is needed."""


@dataclass(frozen=True, kw_only=True)
class FileLists:
    """The lists of a data YAML, or one."""

    rows: list[ListedFile]
    """Of all lists."""
    taken: list[int]
    """Of each sample of the data set its row: a ratio takes a row several times, or not at all."""
    types: list[str]
    """Of each sample the type of its list."""
    subsets: list[Subset]
    """Samples of which each epoch sees a part."""


def is_file_list(task: ScaleTask) -> bool:
    """Whether the data of a task are lists of files (`LISTS`), images or videos as it says, rather than latents."""
    if not Path(task.data).is_file():
        return False
    try:
        return all(_lists_files(entry.local) for entry in entries_of(Path(task.data)))
    except ValueError:  # for who opens latents to say
        return False


def _lists_files(path: Path) -> bool:
    """Whether rows are of files; those of a cache of latents name a pickle each."""
    if path.suffix not in LISTS or not path.is_file():
        return False
    if path.suffix == ".csv":  # what is wrong with it is for who reads it to say
        return True
    first = first_object(path)
    return first is not None and "pkl" not in first


def read_file_lists(data: Path, *, media_type: MediaType) -> FileLists:
    """Return the rows of a list (`row_lists.LISTS`), or of those that a data YAML names; no file is opened.

    Rows that name no image or video, as it is asked for, are left out, with a warning.

    Raises:
        ValueError: one is damaged, or no row of it can be used.
    """
    rows: list[ListedFile] = []
    taken_rows: list[int] = []
    types: list[str] = []
    subsets: list[Subset] = []
    for entry in entries_of(data, drawn=DRAWN):
        found = _rows_of(entry.local, media_type)
        taken = entry.chosen(len(found))
        subsets += entry.subset(len(taken_rows), len(taken_rows) + len(taken))
        taken_rows += [len(rows) + place for place in taken.tolist()]
        types += [entry.type] * len(taken)
        rows += found
    return FileLists(rows=rows, taken=taken_rows, types=types, subsets=subsets)


def _rows_of(path: Path, media_type: MediaType) -> list[ListedFile]:
    rows = read_rows(path, remedy=_REMEDY)
    if not isinstance(rows, list):
        raise ValueError(f"{path}: no list of {media_type}s; {_REMEDY}")

    def listed(row: Any, where: str) -> ListedFile:
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("path", "prompt")):
            raise ValueError(f"{where} is no {media_type} ({str(row)[:60]}); {_REMEDY}")
        if "pkl" in row:
            raise ValueError(f"{where} is of a latent, the first of a {media_type}; give each a list of their own")
        facts = _said(row, where) if media_type == "video" else {}
        return ListedFile(path=path.parent / row["path"], caption=row["prompt"], **facts)

    return usable(path, rows, listed)


def _said(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What the row of a video says of it, as `ListedFile` has it."""
    numbers = {name: _number(row, name, where) for name in SAID}
    motion = _number(row, "unimatch_flow", where)
    said = None
    if all(value is not None and value > 0 for value in numbers.values()):
        seconds, fps, width, height = (float(numbers[name] or 0) for name in SAID)
        said = VideoFacts(seconds=seconds, fps=fps, width=round(width), height=round(height))
    return {"motion": motion if motion is not None and motion >= 0 else UNKNOWN_MOTION, "said": said}


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
