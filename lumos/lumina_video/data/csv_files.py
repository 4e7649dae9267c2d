"""The rows of a CSV with the columns `path,text`, as pre-tokenisation takes it, as those of a list of files."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lumos.media.sets.listed_path import listed_path
from xllmx.safe.csv_header import lacking
from xllmx.safe.json_text import read_text

_COLUMNS = ("path", "text")
_NUMBERS = ("seconds", "fps", "width", "height", "unimatch_flow")
"""Columns that are taken where they are filled; others are let be."""
_MOST_FIELD = 2**20
"""Characters of one field."""


def read_csv_files(path: Path, *, most_bytes: int) -> Iterator[dict[str, Any]]:
    """Yield `{path, prompt, ...}` of each row, numbers as text; a row without a path or a text lacks that key.

    A relative path counts from the CSV's folder or, where nothing lies there, from the working directory.

    Raises:
        ValueError: it is no CSV in UTF-8, lacks a column, or has a row of more fields than its header.
    """
    remedy = "write a CSV in UTF-8 with the columns path,text"
    text = read_text(path, remedy=remedy, most_bytes=most_bytes)
    lines = _lines(csv.reader(io.StringIO(text, newline=""), strict=True))
    try:
        header = next(lines, [])
        if said := lacking(header, _COLUMNS):
            raise ValueError(f"{path}: {said}")
        for number, fields in enumerate(lines):
            yield _row(number, header, fields, path)
    except csv.Error as error:
        raise ValueError(f"{path}: not a CSV ({error}); {remedy}, fields with commas or quotes in quotes") from error


def _lines(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """Yield the lines that are not empty; the longest field is one setting of all readers, so none is left set."""
    while True:
        limit = csv.field_size_limit(_MOST_FIELD)
        try:
            line = next(reader, None)
        finally:
            csv.field_size_limit(limit)
        if line is None:
            return
        if line:
            yield line


def _row(number: int, header: Sequence[str], fields: Sequence[str], path: Path) -> dict[str, Any]:
    if any(fields[len(header) :]):  # what stands beyond the columns, a last comma aside
        raise ValueError(
            f'{path}: row {number} has more fields than the header; put captions with commas in quotes: "..."'
        )
    filled = {name: value.strip() for name, value in zip(header, fields, strict=False) if value.strip()}
    row = {name: filled[name] for name in _NUMBERS if name in filled}
    if "path" in filled:
        row["path"] = _place(filled["path"], path.parent)
    if "text" in filled:
        row["prompt"] = filled["text"]
    return row


def _place(name: str, folder: Path) -> str:
    here = listed_path(Path(), name)
    try:
        is_here = not listed_path(folder, name).exists() and here.exists()
    except (OSError, ValueError):  # a name that is none: reading it says so
        is_here = False
    return str(here.absolute()) if is_here else name
