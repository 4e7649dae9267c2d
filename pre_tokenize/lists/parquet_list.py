"""The rows of a Parquet list with the columns `path` and `text`: read block by block, whatever its row groups are."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pre_tokenize.lists.csv_rows import COLUMNS
from pre_tokenize.lists.item import BLOCK, MOTION_COLUMN, BlockRows, Item, motion_of
from xllmx.safe.csv_header import listed


class ParquetList(BlockRows):
    """The rows of a Parquet file with the columns `path` and `text`, and perhaps `unimatch_flow`."""

    def __init__(self, file: Path, *, name: str) -> None:
        """Read its footer and its motion scores.

        Args:
            file: the list.
            name: what errors call it.

        Raises:
            ValueError: it is no Parquet file, is cut, lacks a column or any row, or a column is of another kind.
        """
        super().__init__()
        self._file, self._name = file, name
        self._cursor: tuple[int, Iterator[tuple[Any, ...]]] | None = None
        self._groups: list[int] = []
        with self._reading(), pq.ParquetFile(file) as opened:
            self._columns = self._checked(opened.schema_arrow)
            sizes = [opened.metadata.row_group(group).num_rows for group in range(opened.num_row_groups)]
            if len(self._columns) > len(COLUMNS):
                self._check_motion(opened)
            with file.open("rb") as stream:
                self.sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        for group, size in enumerate(sizes):
            starts = range(self._num_rows, self._num_rows + size, BLOCK)
            self._starts += starts
            self._groups += [group] * len(starts)
            self._num_rows += size
        if not self._num_rows:
            raise ValueError(f"{name}: has no row; write one for each picture or video")

    def _checked(self, schema: pa.Schema) -> list[str]:
        """The columns that are read."""
        if missing := [column for column in COLUMNS if column not in schema.names]:
            raise ValueError(f"lacks the column(s) {', '.join(missing)} (it has: {listed(schema.names)})")
        read = [*COLUMNS, *([MOTION_COLUMN] if MOTION_COLUMN in schema.names else [])]
        for column in read:
            kind = schema.field(column).type
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
            number = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)
            if not (text or (number and column == MOTION_COLUMN)):
                raise ValueError(f"has {kind} in the column {column}, which must hold text")
        return read

    def _check_motion(self, opened: pq.ParquetFile) -> None:
        batches = opened.iter_batches(batch_size=BLOCK, columns=[MOTION_COLUMN], use_threads=False)
        for row, value in enumerate(value for batch in batches for value in batch.column(0).to_pylist()):
            motion_of(value, where=f"row {row}")

    def _block(self, number: int) -> list[Item]:
        first, group = self._starts[number], self._groups[number]
        if self._cursor is None or self._cursor[0] != number:
            begin = self._starts[self._groups.index(group)]
            self._cursor = number, islice(self._rows(group), first - begin, None)
        rows = self._cursor[1]
        with self._reading():
            items = [
                Item(row=row, path=(path or "").strip(), text=(text or "").strip(), motion=motion_of(score, where=""))
                for row, (path, text, score) in enumerate(islice(rows, BLOCK), first)
            ]
        last = number + 1 == len(self._groups) or self._groups[number + 1] != group
        self._cursor = None if last else (number + 1, rows)
        if len(items) != (self._starts[number + 1] if number + 1 < len(self._starts) else len(self)) - first:
            raise ValueError(f"{self._name}: has changed while it was worked on; run the same command again")
        return items

    def _rows(self, group: int) -> Iterator[tuple[Any, ...]]:
        """Path, text and score of the rows of a row group."""
        with pq.ParquetFile(self._file) as opened:
            batches = opened.iter_batches(
                batch_size=BLOCK, row_groups=[group], columns=self._columns, use_threads=False
            )
            for batch in batches:
                columns = [batch.column(name).to_pylist() for name in self._columns]
                yield from zip(*columns, *([[None] * len(batch)] * (3 - len(columns))), strict=True)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """A context in which an error names the list."""
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{self._name}: {reason}; give a Parquet file with the columns path,text") from error

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_cursor": None}
