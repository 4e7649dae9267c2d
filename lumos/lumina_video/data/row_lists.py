"""Lists of rows as the data of the paper name them: JSON, JSON lines, a list of dicts in a .pkl or .pth; or a CSV.

What is wrong with single rows is said once, with their number, and the others are used (`usable`).
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lumos.lumina_video.data.csv_files import read_csv_files
from lumos.lumina_video.data.readable import LISTS as LISTS
from lumos.lumina_video.data.row_numbers import number_in as number_in
from xllmx.safe.bounded_file import read_bounded
from xllmx.safe.json_text import lines_of_file, parse_json, read_text
from xllmx.safe.plain_pickle import read_plain

_ROW_BY_ROW = (".jsonl", ".csv")
_LOG = logging.getLogger(__name__)
_COPY = "copy or download it again"
_MOST_BYTES = 2**30
"""Of a list; that of a million clips has a few hundred MB."""
_BETWEEN = re.compile(r"[\s,]*")
_T = TypeVar("_T")


@dataclass(frozen=True)
class BrokenRow:
    """Stands for a line that is no JSON."""

    reason: str
    """Why, with the number of the line."""


def read_rows(path: Path, *, remedy: str) -> Any:
    """Return what a list holds; nothing of it is checked, and of a .json it may be something else than a list.

    Of JSON lines and of a CSV as `each_row` yields it, at once.

    Raises:
        ValueError: it is missing, too large or damaged, or a pickle of anything but plain values; names the file and
            the remedy. Nothing in a pickle is run.
    """
    if path.suffix in (".pkl", ".pth"):
        try:
            if path.suffix == ".pth":
                from xllmx.safe.torch_archive import load_plain  # torch is loaded where it is needed alone

                return load_plain(path, most_bytes=_MOST_BYTES)
            return read_plain(read_bounded(path, most_bytes=_MOST_BYTES), most_bytes=_MOST_BYTES)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: no list of rows ({error}); {remedy}") from error
    if path.suffix in _ROW_BY_ROW:
        return list(each_row(path, remedy=remedy))
    text = read_text(path, remedy=remedy, most_bytes=_MOST_BYTES)
    return parse_json(text, str(path), remedy=remedy, finite=False)


def each_row(path: Path, *, remedy: str, what: str = "rows") -> Iterator[Any]:
    """Yield the rows of a list (of `what`), of text one at a time: a million as objects take 2 GB.

    NaN may stand in JSON lines, as Python writes them: whether a row can be used is for who uses it. A line that is
    none is a `BrokenRow`; the last one is left out where a kill cut it. Of a CSV the rows are `{path, prompt}`.

    Raises:
        ValueError: as `read_rows`, when it is come to; or it holds no list.
    """
    if path.suffix == ".csv":
        yield from read_csv_files(path, most_bytes=_MOST_BYTES)
    elif path.suffix == ".jsonl":
        for number, line in lines_of_file(path, remedy=remedy, most_bytes=_MOST_BYTES):
            try:
                row = parse_json(line, f"line {number}", remedy=remedy, finite=False)
            except ValueError as error:
                row = BrokenRow(str(error))
            yield row
    else:
        rows = read_rows(path, remedy=remedy)
        if not isinstance(rows, list):
            raise ValueError(f"{path}: no list of {what}; {remedy}")
        yield from rows


def first_object(path: Path) -> dict[str, Any] | None:
    """Return the first row that is an object, which tells what the rows are; {} without one, None of what is no list.

    Of text the other rows are not parsed, and of JSON lines not read.

    Raises:
        ValueError: as `read_rows`, where it is seen until then.
    """
    if path.suffix in (".pkl", ".pth"):
        rows = read_rows(path, remedy=_COPY)
        return next((row for row in rows if isinstance(row, dict)), {}) if isinstance(rows, list) else None
    if path.suffix == ".jsonl":
        return next((row for row in each_row(path, remedy=_COPY) if isinstance(row, dict)), {})
    text = read_text(path, remedy=_COPY, most_bytes=_MOST_BYTES)
    if not text.lstrip().startswith("["):
        return None
    found = _items(text)
    try:
        return next((row for row in found if isinstance(row, dict)), {})
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}); {_COPY}") from error


def lists_files(path: Path) -> bool:
    """Return whether the rows of a list are of files; those of a cache of latents name a pickle each.

    Raises:
        ValueError: as `first_object`.
    """
    if path.suffix not in LISTS or not path.is_file():
        return False
    if path.suffix == ".csv":  # what is wrong with it is for who reads it to say
        return True
    first = first_object(path)
    return first is not None and "pkl" not in first


def _items(text: str) -> Iterator[Any]:
    """Yield the items of a JSON list, each as it is come to."""
    decoder, place = json.JSONDecoder(), text.index("[") + 1
    while True:
        between = _BETWEEN.match(text, place)
        assert between is not None
        if text.startswith("]", place := between.end()):
            return
        item, place = decoder.raw_decode(text, place)
        yield item


def usable(path: Path, rows: Iterable[Any], read: Callable[[Any, str], _T]) -> list[_T]:
    """Return what `each_usable` yields, at once."""
    return list(each_usable(path, rows, read))


def each_usable(path: Path, rows: Iterable[Any], read: Callable[[Any, str], _T]) -> Iterator[_T]:
    """Yield what `read(row, where)` makes of the rows; those of which it makes none (ValueError) are left out.

    How many, and why the first, is logged on the main rank when all were read.

    Raises:
        ValueError: there are rows, and none can be used.
    """
    reason, number, num_used = "", -1, 0
    for number, row in enumerate(rows):
        try:
            if isinstance(row, BrokenRow):
                raise ValueError(row.reason)
            found = read(row, f"row {number}")
        except ValueError as error:
            reason = reason or str(error)
        else:
            num_used += 1
            yield found
    num = number + 1
    if num and not num_used:
        raise ValueError(f"{path}: none of its {num} rows can be used; the first: {reason}")
    if not reason:
        return
    from xllmx.ranks.distributed import is_main  # it brings torch, which reading does without

    if is_main():
        _LOG.warning("%s: %d of %d rows are left out; the first: %s", path, num - num_used, num, reason)
