"""Lists of images or videos that are no latents yet: their rows, and what they say of the videos."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from weakref import WeakValueDictionary

import numpy as np
from jaxtyping import Int64

from lumos.lumina_video.data.latent_set import DRAWN
from lumos.lumina_video.data.latents import MOST_MOTION, UNKNOWN_MOTION
from lumos.lumina_video.data.row_lists import LISTS, each_row, each_usable, lists_files, number_in
from lumos.lumina_video.training.items.listed_rows import UNSAID, JoinedFiles, ListedFile, ListedFiles, Row
from lumos.lumina_video.training.task_config import ScaleTask
from lumos.media.sets.data_yaml import entries_of
from lumos.media.sets.listed_path import not_brought
from xllmx.data.kinds import Kinds
from xllmx.store.address import location_of, scheme_of
from xllmx.subset import Subset

__all__ = ["LISTS", "SAID", "FileLists", "ListedFile", "MediaType", "is_file_list", "read_file_lists"]

SAID = ("seconds", "fps", "width", "height")
"""What a row says of its video, as the released tools write it; all of them, or the file is opened."""
MediaType = Literal["image", "video"]
"""What files are taken for."""
_REMEDY = 'write {"path": ..., "prompt": ...} for each, or a CSV with the columns path,text'


@dataclass(frozen=True, kw_only=True)
class FileLists:
    """The lists of a data YAML, or one."""

    rows: JoinedFiles
    """Of all lists."""
    taken: Int64[np.ndarray, "N"]
    """Of each sample of the data set its row: a ratio takes a row several times, or not at all."""
    types: Kinds[str]
    """Of each sample the type of its list."""
    subsets: list[Subset]
    """Samples of which each epoch sees a part."""


def is_file_list(task: ScaleTask) -> bool:
    """Whether the data of a task are lists of files (`LISTS`), images or videos as it says, rather than latents."""
    if not Path(task.data).is_file():
        return False
    try:
        return all(lists_files(entry.local) for entry in entries_of(Path(task.data)))
    except ValueError:  # for who opens latents to say
        return False


def read_file_lists(data: Path, *, media_type: MediaType) -> FileLists:
    """Return the rows of a list (`row_lists.LISTS`), or of those that a data YAML names; no file is opened.

    Rows that name no image or video, as it is asked for, are left out, with a warning.

    Raises:
        ValueError: one is damaged, or no row of it can be used.
    """
    lists: list[ListedFiles] = []
    taken: list[np.ndarray] = [np.zeros(0, np.int64)]
    types: list[Kinds[str]] = []
    subsets: list[Subset] = []
    num_rows = num_taken = 0
    for entry in entries_of(data, drawn=DRAWN):
        found = _shared(entry.local, media_type)
        chosen = entry.chosen(len(found)).of(np.arange(len(found)))
        subsets += entry.subset(num_taken, num_taken + len(chosen))
        lists.append(found)
        taken.append(num_rows + chosen)
        types.append(Kinds([entry.type], np.zeros(len(chosen), np.uint16)))
        num_rows, num_taken = num_rows + len(found), num_taken + len(chosen)
    joined = Kinds.joined(types).by_first()
    return FileLists(rows=JoinedFiles(lists), taken=np.concatenate(taken), types=joined, subsets=subsets)


_SHARED: WeakValueDictionary[tuple[Path | str | int, ...], ListedFiles] = WeakValueDictionary()
"""Lists that are in use: the tasks of a run often name the same."""


def _shared(path: Path, media_type: MediaType) -> ListedFiles:
    try:
        now = path.stat()
    except (OSError, ValueError):  # reading it says so
        return _read(path, media_type)
    key = path, path.absolute(), media_type, now.st_ino, now.st_size, now.st_mtime_ns
    found = _SHARED.get(key)
    if found is None:
        found = _SHARED[key] = _read(path, media_type)
    return found


def _read(path: Path, media_type: MediaType) -> ListedFiles:
    def listed(row: Any, where: str) -> Row:
        path, caption = (row.get("path"), row.get("prompt")) if isinstance(row, dict) else (None, None)
        if isinstance(path, str) and caption is None:
            raise ValueError(f"{where} has no caption ({path!r:.60}); {_REMEDY}")
        if not isinstance(path, str) or not isinstance(caption, str):
            raise ValueError(f"{where} is no {media_type} ({str(row)[:60]}); {_REMEDY}")
        if (scheme := scheme_of(path)) == "file":
            path = str(location_of(path))
        elif scheme:
            raise ValueError(f"{where} ({path!r:.200}): {not_brought(scheme, read='paths are')}")
        if "pkl" in row:
            raise ValueError(f"{where} is of a latent, the first of a {media_type}; give each a list of their own")
        return path, caption, *(_said(row, where) if media_type == "video" else (UNKNOWN_MOTION, UNSAID))

    rows = each_row(path, remedy=_REMEDY, what=f"{media_type}s")
    return ListedFiles(path.parent, each_usable(path, rows, listed))


def _said(row: Mapping[str, Any], where: str) -> tuple[float, tuple[float, float, float, float]]:
    """What the row of a video says of it, as `Row` has it."""
    seconds, fps, width, height = (_number(row, name, where) for name in SAID)
    motion = _number(row, "unimatch_flow", where)
    said = UNSAID
    if seconds > 0 and fps > 0 and width > 0 and height > 0:
        said = seconds, fps, float(round(width)), float(round(height))
    return motion if motion >= 0 else UNKNOWN_MOTION, said


def _number(row: Mapping[str, Any], name: str, where: str) -> float:
    """A number of a row; -1 where there is none."""
    value = row.get(name)
    if value is None:
        return -1.0
    number = number_in(value, least=-MOST_MOTION, most=MOST_MOTION)
    if number is None:
        raise ValueError(f"{where}: {name} is {value!r:.60}; it must be a number; correct it, or leave it out")
    return number
