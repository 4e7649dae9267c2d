"""The rows of a CSV. It is read once from end to end, and checked; after that, block by block where rows are asked for.

Of 100 million rows there stay in memory: the byte at which every 4096th begins, and the blocks used last.
"""

import csv
import hashlib
import io
import os
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, Protocol

from pre_tokenize.lists.item import BLOCK, MOTION_COLUMN, BlockRows, Item, motion_of
from xllmx.safe.csv_header import lacking

COLUMNS = ("path", "text")

_MOST_LINE_BYTES = 2**26
_BOM = b"\xef\xbb\xbf"


class CsvRows(BlockRows):
    """The rows of a CSV with the columns `path` and `text`, and perhaps `unimatch_flow`; other columns are let be."""

    def __init__(self, file: Path, *, name: str) -> None:
        """Read it once.

        Args:
            file: the CSV.
            name: what errors call it.

        Raises:
            ValueError: it is no CSV in UTF-8, lacks a column or any row, or has a row that does not fit its header.
        """
        super().__init__()
        self._file, self._name = file, name
        csv.field_size_limit(_MOST_LINE_BYTES)  # a quote that is not closed would take in all that follows
        with file.open("rb") as stream:
            self._state = _state_of(stream)
            lines, digest = _Lines(stream, name=name), hashlib.sha256()
            lines.digest = digest
            reader = csv.reader(lines, strict=True)
            try:
                self._header = _checked_header(next(reader, []), name)
                self._count(reader, lines)
            except csv.Error as error:
                rule = 'a field with commas or quotes stands in quotes, a quote in it is written twice: "say ""hi"""'
                place = f"row {self._num_rows}, which ends at line {reader.line_num}"
                raise ValueError(f"{name}: not a CSV ({error}; {place}); {rule}") from error
        self.sha256 = digest.hexdigest()
        if not self._num_rows:
            raise ValueError(f"{name}: has no row below its header; write one for each picture or video")

    def _count(self, reader: Iterator[list[str]], lines: "_Lines") -> None:
        """Count and check the rows, and note where blocks begin."""
        self._places = [self._header.index(column) for column in COLUMNS]
        self._motion = self._header.index(MOTION_COLUMN) if MOTION_COLUMN in self._header else None
        self._offsets: list[int] = []
        width, motion, row, offset = len(self._header), self._motion, 0, lines.offset
        for fields in reader:
            if not fields:  # an empty line
                continue
            if row % BLOCK == 0:
                self._starts.append(row)
                self._offsets.append(offset)
            if len(fields) > width and any(fields[width:]):  # what stands beyond its columns, a last comma aside
                raise ValueError(
                    f"{self._name}: row {row} has {len(fields)} fields, the header {width}; "
                    'put captions with commas in quotes: "..."'
                )
            if motion is not None and motion < len(fields):
                motion_of(fields[motion], where=f"{self._name}: row {row}")
            row += 1
            self._num_rows, offset = row, lines.offset

    def _block(self, number: int) -> list[Item]:
        first, items = self._starts[number], []
        with self._file.open("rb") as stream:
            if _state_of(stream) != self._state:
                raise ValueError(f"{self._name}: has changed while it was worked on; run the same command again")
            stream.seek(self._offsets[number])
            rows = (fields for fields in csv.reader(_Lines(stream, name=self._name), strict=True) if fields)
            for row, fields in enumerate(islice(rows, BLOCK), first):
                path, text = (fields[place].strip() if place < len(fields) else "" for place in self._places)
                score = fields[self._motion] if self._motion is not None and self._motion < len(fields) else None
                items.append(Item(row=row, path=path, text=text, motion=motion_of(score, where=self._name)))
        return items


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


class _Lines:
    """The lines of a CSV as text, as `csv` takes them; `offset` is the byte after those handed out."""

    def __init__(self, stream: IO[bytes], *, name: str) -> None:
        self._stream, self._name = stream, name
        self._waiting: deque[str] = deque()
        self._number = 0
        self.offset = stream.tell()
        self.digest: _Digest | None = None

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if not self._waiting:
            self._waiting.extend(self._read())
        line = self._waiting.popleft()
        self.offset += len(line) if line.isascii() else len(line.encode())
        return line

    def _read(self) -> list[str]:
        """Read up to the next line feed, which are several lines where one ends in a carriage return alone."""
        start = self.offset
        raw = self._stream.readline(_MOST_LINE_BYTES)
        if not raw:
            raise StopIteration
        self._number += 1
        if len(raw) == _MOST_LINE_BYTES and not raw.endswith(b"\n"):
            rule = f"line {self._number} has more than {_MOST_LINE_BYTES >> 20} MiB"
            raise ValueError(f"{self._name}: not a CSV ({rule}); write a line for each picture or video")
        if self.digest is not None:
            self.digest.update(raw)
        if start == 0 and raw.startswith(_BOM):
            self.offset += len(_BOM)
            raw, start = raw[len(_BOM) :], len(_BOM)
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            place = f"{error.reason} at byte {start + error.start}, line {self._number}"
            raise ValueError(f"{self._name}: not a CSV in UTF-8 ({place}); save it as UTF-8") from error
        return [text] if "\r" not in text[:-2] else list(io.StringIO(text, newline=""))


def _checked_header(found: list[str], name: str) -> list[str]:
    if said := lacking(found, COLUMNS):
        raise ValueError(f"{name}: {said}")
    if twice := [column for column in (*COLUMNS, MOTION_COLUMN) if found.count(column) > 1]:
        raise ValueError(f"{name}: has the column {twice[0]} twice; leave one of them out")
    return found


def _state_of(stream: IO[Any]) -> tuple[int, int]:
    state = os.fstat(stream.fileno())
    return state.st_size, state.st_mtime_ns
