"""The CSV of items, and the part of it that each task and process works on."""

import csv
import hashlib
import io
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Literal

from lumos.lumina_video.data.latents import UNKNOWN_MOTION

_SHOWN = 200
"""Characters of a header that an error repeats."""

COLUMNS = ("path", "text")
_PICTURES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic"))
"""Endings of files that hold one picture."""
MOTION_COLUMN = "unimatch_flow"
"""The name under which the release kept motion scores, whatever made them."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One row of the CSV."""

    row: int
    """Number of the row, from 0, without the header."""
    path: str
    """The file as the CSV names it."""
    text: str
    """The caption."""
    motion: float = UNKNOWN_MOTION
    """The motion score in the column `unimatch_flow`; -1 where there is none."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A CSV with the columns `path` and `text`, and perhaps `unimatch_flow`; other columns are ignored."""

    file: Path
    items: Sequence[Item]
    sha256: str
    """Of the file's bytes: a changed CSV cannot go on into an output that an earlier one began."""

    def locate(self, item: Item) -> Path:
        """The item's file: relative paths count from the CSV's folder, or else from the working directory.

        A path that begins with ~/ is one in the user's home, as in a shell.
        """
        with suppress(RuntimeError):  # nobody's home: it is a folder of that name
            if item.path.startswith("~/") and not (self.file.parent / "~").exists():
                return Path(item.path).expanduser()
        beside = self.file.parent / item.path
        try:
            beside.stat()
        except FileNotFoundError:
            return Path(item.path)
        except (OSError, ValueError):  # a name that is too long, a folder that is closed: reading it says so
            return beside
        return beside


def read_table(file: str | Path) -> Table:
    """The items of a CSV. Raises `ValueError` for a missing file, one that is no CSV, and one without the columns."""
    file = Path(file)
    if not file.is_file():
        what = "a folder, a pipe or a device" if file.exists() else "no such file"
        raise ValueError(f"--input_file {file}: {what}; give a CSV with the columns {','.join(COLUMNS)}")
    content = file.read_bytes()
    csv.field_size_limit(sys.maxsize)
    items: list[Item] = []
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        found = reader.fieldnames or []
        if missing := [name for name in COLUMNS if name not in found]:
            raise ValueError(
                f"--input_file {file}: lacks the column(s) {', '.join(missing)} "
                f"(it has: {_listed(found)}); the header must name path,text"
            )
        if twice := [name for name in (*COLUMNS, MOTION_COLUMN) if found.count(name) > 1]:
            raise ValueError(f"--input_file {file}: has the column {twice[0]} twice; leave one of them out")
        for row, line in enumerate(reader):
            if any(line.get(None, ())):  # what stands beyond the header's columns, a last comma aside
                there = len(found) + len(line[None])
                raise ValueError(
                    f"--input_file {file}: row {row} has {there} fields, the header {len(found)}; "
                    'put captions with commas in quotes: "..."'
                )
            motion = motion_of(line.get(MOTION_COLUMN), where=f"--input_file {file}: row {row}")
            path, text = ((line[name] or "").strip() for name in COLUMNS)
            items.append(Item(row=row, path=path, text=text, motion=motion))
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        place = f"{error.reason} at byte {error.start}, line {number}"
        raise ValueError(f"--input_file {file}: not a CSV in UTF-8 ({place}); save it as UTF-8") from error
    except csv.Error as error:
        rule = 'a field with commas or quotes stands in quotes, a quote in it is written twice: "say ""hi"""'
        place = f"row {len(items)}, which ends at line {reader.line_num}"
        raise ValueError(f"--input_file {file}: not a CSV ({error}; {place}); {rule}") from error
    if not items:
        raise ValueError(f"--input_file {file}: has no row below its header; write one for each picture or video")
    return Table(file=file, items=items, sha256=hashlib.sha256(content).hexdigest())


def modality_of(table: Table) -> Literal["image", "video"]:
    """Whether a CSV lists pictures or videos, by the endings of its files' names; ValueError where it lists both."""
    kinds = [Path(item.path).suffix.lower() in _PICTURES for item in table.items]
    if any(kinds) and not all(kinds):
        other = [table.items[kinds.index(kind)].path for kind in (True, False)]
        raise ValueError(
            f"--input_file {table.file}: lists pictures and videos ({other[0]!r:.80}, {other[1]!r:.80}); give "
            "two CSVs, one of each, or say --modality image or --modality video"
        )
    return "image" if kinds[0] else "video"


def motion_of(value: object, *, where: str) -> float:
    """The motion score that stands in a table or record as text or number; -1 for nothing, and for any below 0.

    Raises:
        ValueError: it is no number, or not finite; `where` is said.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return UNKNOWN_MOTION
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else float("nan")
    except (ValueError, OverflowError):
        number = float("nan")
    if not isfinite(number):
        raise ValueError(f"{where} has {MOTION_COLUMN} {value!r:.60}, which is no number; correct it or leave it empty")
    return number if number >= 0 else UNKNOWN_MOTION


def _listed(names: Sequence[str]) -> str:
    text = " ".join(", ".join(names).split())
    return f"{text[:_SHOWN]}..." if len(text) > _SHOWN else text or "nothing"


def part_of(rows: range, parts: int, *, index: int) -> range:
    """The `index`-th of `parts` contiguous pieces of `rows`; where they cannot be equal, the first are longer by one.

    10 rows in 4 parts: [0, 3) [3, 6) [6, 8) [8, 10).
    """
    size, longer = divmod(len(rows), parts)
    start = index * size + min(index, longer)
    return rows[start : start + size + (index < longer)]
