"""Records of Lumina-Video's release: lists of {path, prompt, ...} in JSON or JSON lines, and CSVs, as rows to work on.

A file is read into a `Table`, and what was found for its rows is written back into one of the same kind, every other
field as it was.
"""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pre_tokenize.lists.table import Item, Table, read_table
from xllmx.disk.files import write_text
from xllmx.safe.json_text import json_lines, parse_json, read_text
from xllmx.store.address import Location, location_of
from xllmx.store.local_copy import kept_copy

_MOST_BYTES = 2**30
"""Of a record; that of a million clips has a few hundred MB."""
_REMEDY = "correct the file, or write it again"


@dataclass(frozen=True, kw_only=True)
class Record:
    """Rows with all their fields."""

    table: Table
    """The rows as items to work on."""
    rows: Sequence[dict[str, Any]]
    """Every field of every row."""

    @property
    def suffix(self) -> str:
        """The ending of the name: `.csv`, `.json` or `.jsonl`."""
        return self.table.file.suffix.lower()


def read_record(named: str | Location, *, allowed: Sequence[Location] = ()) -> Record:
    """The rows of a CSV (columns path, text), or of a .json or .jsonl (fields path, prompt; others may be NaN).

    Args:
        named: the file, by path or by address.
        allowed: folders, beside its own, that it may name by address.

    Raises:
        ValueError: it is missing, of another kind or damaged, or a row has no path.
        StoreError: the store does not give it.
    """
    file = location_of(named)
    if file.suffix.lower() == ".csv":
        table = read_table(file, allowed=allowed)
        lines = csv.DictReader(io.StringIO(kept_copy(file).read_text(encoding="utf-8-sig"), newline=""))
        return Record(table=table, rows=[{name: value for name, value in line.items() if name} for line in lines])
    if file.suffix.lower() not in (".json", ".jsonl"):
        raise ValueError(f"--input_file {file}: give a .csv, .json or .jsonl")
    text = read_text(file, remedy=_REMEDY, most_bytes=_MOST_BYTES)
    if file.suffix.lower() == ".json":
        rows = parse_json(text, str(file), remedy=_REMEDY, finite=False)
    else:
        rows = [row for _, row in json_lines(text, str(file), remedy=_REMEDY, finite=False)]
    if not isinstance(rows, list):
        raise ValueError(f"{file} holds no list of rows; {_REMEDY}")
    items = [_item(row, number, file) for number, row in enumerate(rows)]
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return Record(table=Table(file=file, items=items, sha256=sha256, allowed=allowed), rows=rows)


def _item(row: Any, number: int, file: Location) -> Item:
    if not isinstance(row, dict) or not isinstance(row.get("path"), str):
        raise ValueError(f"{file}: row {number} has no path; {_REMEDY}")
    prompt = row.get("prompt", row.get("text", ""))
    return Item(row=number, path=row["path"].strip(), text=prompt if isinstance(prompt, str) else "")


def with_fields(record: Record, found: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows for which something was found, in their order, with what was found; others are left out."""
    return [{**row, **found[number]} for number, row in enumerate(record.rows) if number in found]


def write_rows_as(file: Location, rows: Sequence[Mapping[str, Any]], *, more: Sequence[str] = ()) -> None:
    """Write rows as .csv, .json (indented by 1) or .jsonl, by the name of the file; whole or not at all.

    `more` are names of fields that a CSV without rows has too.

    Raises:
        ValueError: the name has another ending.
    """
    match file.suffix.lower():
        case ".csv":
            names = list(dict.fromkeys([*(name for row in rows for name in row), *more]))
            text = io.StringIO()
            writer = csv.DictWriter(text, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            write_text(file, text.getvalue())
        case ".json":
            write_text(file, json.dumps(list(rows), indent=1, ensure_ascii=False))
        case ".jsonl":
            write_text(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        case _:
            raise ValueError(f"{file}: cannot write a record of that name; give one that ends in .jsonl or .json")
