"""Rows in Parquet files: small row groups, so that any row is read without the rest of its file; and their index.

What a row is (a clip of codes, a clip of latents) is a `RowForm`. Files are written whole or not at all, mapped into
memory and opened when first needed.
"""

import json
import shlex
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lumos.media.decoded import DecodedSample, said_in_index, sample_in
from lumos.media.files import replacing
from lumos.media.shards.known_shards import MANY_SHARDS, SHAPES_NAME, KnownShards, Shape, shards_of_index, write_shapes
from lumos.media.shards.shape_rows import rows_of_shard
from lumos.media.shards.shard_bounds import check_num_rows, check_unpacked
from xllmx.data.kinds import Kinds
from xllmx.safe.inside import inside
from xllmx.store.access import StoreError
from xllmx.store.address import Address, Location, location_of
from xllmx.store.local_copy import kept_copy
from xllmx.words import plural

INDEX_NAME = "index.json"
"""What lists the files of a finished set; it is written last."""

SHARDS_OF_PROCESSES = "*-in-*/*-of-*/rows-*.parquet"
"""The shards of a pre-tokenisation in its folder, by the process that made each."""

_ROW_GROUP_BYTES = 256 * 1024
_SMALL_ROW_BYTES = 16
_OPEN_FILES = 32
_KEPT_BYTES = 64 * 2**20
"""Row groups kept in memory. Of small rows a group holds hundreds, and each row of a shuffled batch is in another."""

_KINDS: Mapping[str, tuple[Callable[[pa.DataType], bool], ...]] = {
    "texts": (pa.types.is_string, pa.types.is_large_string),
    "bytes": (pa.types.is_binary, pa.types.is_large_binary),
    "whole numbers": (pa.types.is_integer,),
    "numbers": (pa.types.is_floating,),
}

Row = Mapping[str, Any]
"""Values by the names of the columns."""


class UnreadableShardError(ValueError):
    """A Parquet file that is damaged, cut, missing or holds something else than its form says."""


@dataclass(frozen=True, kw_only=True)
class RowForm:
    """What the rows of a set are."""

    what: str
    """In messages, many of them: "clips"."""
    index_format: str
    """How their index names itself."""
    schema: pa.Schema
    """Columns and their types."""
    large_column: str | None
    """The column of bytes that makes the size of a row; None where rows are small."""
    shape_columns: tuple[str, ...]
    """Columns of whole numbers that are read at once for all rows."""
    compression: str = "zstd"
    """Of the pages; "none" for numbers that do not compress."""
    may_be_empty: tuple[str, ...] = ()
    """Columns in which a row may have nothing; a row without one of the others is damaged."""
    unknown_column: str | None = None
    """A column of numbers of which -1 says that nobody knows; reports count these rows."""
    remedy: str = ""
    """What to do about clips that come back as blotches (`lumos.media.decoded`)."""


def write_rows(
    path: str | Location, rows: Iterable[Row], *, form: RowForm, metadata: Mapping[str, str] | None = None
) -> None:
    """Write rows (none is allowed) as one Parquet file, whole or not at all; `metadata` is kept in its footer."""
    schema = form.schema.with_metadata(dict(metadata or {}))
    options: dict[str, Any] = {"compression": form.compression, "use_dictionary": False, "write_page_checksum": True}
    with (
        replacing(path) as temporary,
        temporary.open("wb") as file,
        pq.ParquetWriter(file, schema, **options) as writer,
    ):
        for group in _row_groups(rows, form.large_column):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def rows_metadata(path: str | Location, *, form: RowForm) -> dict[str, str]:
    """What `write_rows` was given as `metadata`. Raises `ValueError` for a file that holds no such rows."""
    with _reading(path, form) as file:
        return _metadata(file)


def _metadata(file: pq.ParquetFile) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}


def decoded_in(path: str | Location, *, form: RowForm) -> DecodedSample:
    """The clips of a shard that were decoded. Raises `ValueError` for a file that holds no such rows."""
    with _reading(path, form) as file:
        return sample_in(_metadata(file), file=location_of(path), num_clips=file.metadata.num_rows)


def num_rows(path: str | Location, *, form: RowForm) -> int:
    """Number of rows in a file, from its footer. Raises `ValueError` for a file that holds no such rows."""
    with _reading(path, form) as file:
        return file.metadata.num_rows


def write_rows_index(
    path: str | Location, files: Sequence[Location], *, form: RowForm, more: Mapping[str, Any] | None = None
) -> int:
    """Write the index of a finished set (its paths relative to it, `more` beside them); return the number of rows."""
    known = looked_up(files, form=form)
    write_known_index(location_of(path), known, form=form, more=more)
    return len(known.shapes)


def write_known_index(
    path: Location, known: KnownShards, *, form: RowForm, more: Mapping[str, Any] | None = None
) -> None:
    """Write the index of shards that were looked up."""
    many = len(known.files) > MANY_SHARDS
    if many:
        write_shapes(path.parent / SHAPES_NAME, known.shapes, columns=len(form.shape_columns))
    entries: list[dict[str, Any]] = [
        {
            "file": _below(file, path.parent),
            "num_clips": number,
            **({"num_bytes": _num_bytes(file)} if many else {}),
            **said_in_index([sample]),
        }
        for file, number, sample in zip(known.files, known.counts.tolist(), known.decoded, strict=True)
    ]
    said = {"num_clips": len(known.shapes), **said_in_index(known.decoded), **(more or {})}
    shapes = {"shapes": SHAPES_NAME} if many else {}
    index = {"format": form.index_format, "version": 1, **said, **shapes, "shards": entries}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(index, indent=1) + "\n")


def check_is_indexed(folder: Path) -> None:
    """Check that a folder is none of a pre-tokenisation whose index is still to be written.

    Raises:
        ValueError: it is; says how it gets one.
    """
    if not (folder / INDEX_NAME).exists() and next(folder.glob(SHARDS_OF_PROCESSES), None) is not None:
        remedy = f"python -m pre_tokenize.concat_record --output_dir {shlex.quote(str(folder))}"
        raise ValueError(f"{folder}: its shards have no {INDEX_NAME} yet; once all processes are done, run: {remedy}")


def known_of_index(path: Location, index: Mapping[str, Any], *, form: RowForm) -> KnownShards:
    """The shards an index lists, checked against it; they are opened only where it does not say their shapes.

    Raises:
        ValueError: one is missing, or of another size or length than it says.
    """
    remedy = f"a set of {form.what} has its shards in its own folder: move them there and write the index again"
    files = [inside(path.parent, entry["file"], said_by=path, remedy=remedy) for entry in index["shards"]]
    if known := shards_of_index(path, index, files, columns=len(form.shape_columns)):
        return known
    known = looked_up(files, form=form)
    for file, found, entry in zip(files, known.counts.tolist(), index["shards"], strict=True):
        if found != entry["num_clips"]:
            held = plural(found, form.what.removesuffix("s"))
            raise ValueError(f"{file}: holds {held}, but {path} says {entry['num_clips']}; write the index again")
    return known


def other_format(index: Any, form: RowForm) -> str | None:
    """Say of an index of another form of rows what it is; None where it is no index of any."""
    found = index.get("format") if isinstance(index, Mapping) else None
    if not isinstance(found, str) or not isinstance(index.get("shards"), list):
        return None
    return f"it holds {found[:40]!a}, and {form.index_format!r} are read here; name others, or train the other model"


def looked_up(files: Sequence[Location], *, form: RowForm) -> KnownShards:
    """What the footers and shape columns of the files say; each is opened once.

    Raises:
        ValueError: one holds no such rows.
    """
    counts, decoded, shapes = [], [], []
    for path in files:
        with _reading(path, form) as file:
            counts.append(file.metadata.num_rows)
            decoded.append(sample_in(_metadata(file), file=path, num_clips=counts[-1]))
            rows = rows_of_shard(file, form.shape_columns)
        values, which = np.unique(rows, axis=0, return_inverse=True)
        shapes.append(Kinds[Shape]([tuple(row) for row in values.tolist()], which.reshape(-1)))
    return KnownShards(
        files=files, counts=np.array(counts, dtype=np.int64), shapes=Kinds.joined(shapes), decoded=decoded
    )


class ParquetRows:
    """The rows of several files as one sequence of tables of one row; files are mapped and opened when first needed."""

    kinds: Kinds[Shape]
    """The `shape_columns` of each row."""
    starts: np.ndarray
    """Int64 [files + 1]: the first row of each file, and their number."""
    decoded: list[DecodedSample]
    """Of each file, the clips that were decoded as it was written."""

    def __init__(self, files: Sequence[Location] | KnownShards, *, form: RowForm) -> None:
        """Look the files up, unless that was done."""
        known = files if isinstance(files, KnownShards) else looked_up(files, form=form)
        self._files, self._form, self.kinds, self.decoded = list(known.files), form, known.shapes, known.decoded
        self.starts = np.concatenate([[0], np.cumsum(known.counts, dtype=np.int64)])
        self._open: OrderedDict[int, pq.ParquetFile] = OrderedDict()
        self._group_starts: dict[int, np.ndarray] = {}
        self._kept: OrderedDict[tuple[int, int], pa.Table] = OrderedDict()
        self._kept_bytes = 0

    @property
    def shapes(self) -> np.ndarray:
        """Int64 [N, columns]: the `shape_columns` of each row."""
        return np.array(self.kinds.values, np.int64).reshape(-1, len(self._form.shape_columns))[self.kinds.which]

    def __len__(self) -> int:
        return len(self.kinds)

    @contextmanager
    def row(self, index: int) -> Iterator[dict[str, pa.Scalar]]:
        """A context with the values of a row; what is wrong with them in it becomes an error that names the file."""
        number = int(np.searchsorted(self.starts, index, side="right")) - 1
        with _naming(self._files[number], self._form):
            starts, row = self._groups_of(number), index - int(self.starts[number])
            group = int(np.searchsorted(starts, row, side="right")) - 1
            table, place = self._table(number, group), row - int(starts[group])
            values = {name: _plain(table[name][place]) for name in self._form.schema.names}
            empty = {name for name, value in values.items() if not value.is_valid} - set(self._form.may_be_empty)
            if empty:
                raise ValueError(f"row {row} has nothing in {', '.join(sorted(empty))}")
            yield values

    def column(self, name: str) -> np.ndarray:
        """A column of numbers, of all rows."""
        parts = []
        for path in self._files:
            with _reading(path, self._form) as file:
                parts.append(file.read(columns=[name], use_threads=False)[name].to_numpy())
        return np.concatenate(parts) if parts else np.zeros(0)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": OrderedDict(), "_kept": OrderedDict(), "_kept_bytes": 0}

    def _groups_of(self, number: int) -> np.ndarray:
        """Return the first row of each row group of a file, which is opened once for that."""
        if number not in self._group_starts:
            about = self._file(number).metadata
            counts = [about.row_group(group).num_rows for group in range(about.num_row_groups)]
            self._group_starts[number] = np.cumsum([0, *counts[:-1]], dtype=np.int32)
        return self._group_starts[number]

    def _table(self, number: int, group: int) -> pa.Table:
        """Return a row group of a file, from memory or read now; the groups longest unused make room for it."""
        key = number, group
        if key not in self._kept:
            file = self._file(number)
            check_unpacked(file.metadata.row_group(group))
            table = self._kept[key] = file.read_row_group(group, use_threads=False)
            self._kept_bytes += table.nbytes
            while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
                self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        self._kept.move_to_end(key)
        return self._kept[key]

    def _file(self, number: int) -> pq.ParquetFile:
        if number not in self._open:
            file = self._open[number] = _opened(self._files[number], self._form, whole=True)
            if (found := file.metadata.num_rows) != (said := int(np.diff(self.starts[number : number + 2])[0])):
                raise UnreadableShardError(
                    f"{self._files[number]}: holds {found} {self._form.what}, but its index says {said}; write the "
                    "index again"
                )
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)[1].close(force=True)
        self._open.move_to_end(number)
        return self._open[number]


def _row_groups(rows: Iterable[Row], large_column: str | None) -> Iterator[list[Row]]:
    """Consecutive rows, about `_ROW_GROUP_BYTES` of their large column together, at least one."""
    group: list[Row] = []
    num_bytes = 0
    for row in rows:
        size = len(row[large_column]) if large_column else _SMALL_ROW_BYTES
        if group and num_bytes + size > _ROW_GROUP_BYTES:
            yield group
            group, num_bytes = [], 0
        group.append(row)
        num_bytes += size
    if group:
        yield group


def _num_bytes(file: Location) -> int:
    return int(file.info()["size"]) if isinstance(file, Address) else file.stat().st_size


def _below(file: Location, folder: Location) -> str:
    """The way from a folder to a file in it."""
    return file.relative_to(cast(Any, folder)).as_posix()


def _opened(path: Location, form: RowForm, *, whole: bool = False) -> pq.ParquetFile:
    """Open a file; one of a store is brought here where it is wanted as a `whole`, else parts of it are read there."""
    with _naming(path, form):
        if isinstance(path, Address) and not whole:
            source = path.open()
        else:
            local = kept_copy(path)
            if local.exists() and not local.is_file():  # a pipe would be waited for without end
                raise ValueError("it is a folder, a pipe or a device")
            source = pa.memory_map(str(local))
        about = pq.read_metadata(source)
        check_num_rows(about)
        schema = about.schema.to_arrow_schema()
        if missing := set(form.schema.names) - set(schema.names):
            raise ValueError(f"it lacks the columns {sorted(missing)}")
        for column in form.schema:
            found, wanted = _kind(schema.field(column.name).type), _kind(column.type)
            if found != wanted and (found, wanted) != ("whole numbers", "numbers"):
                raise ValueError(f"its column {column.name} holds {found}, not {wanted}")
        # what rows share is held once: as plain values, a kilobyte of a dictionary makes gigabytes
        shared = [column.name for column in form.schema if _kind(column.type) in ("texts", "bytes")]
        return pq.ParquetFile(source, metadata=about, page_checksum_verification=True, read_dictionary=shared)


def _plain(value: pa.Scalar) -> pa.Scalar:
    """The value itself, where its column keeps each once, in a dictionary, as pandas and polars write categories."""
    return value.value if isinstance(value, pa.DictionaryScalar) else value


def _kind(of: pa.DataType) -> str:
    """What a column holds, whatever the width of its numbers and the length of its texts."""
    if pa.types.is_dictionary(of):
        return _kind(of.value_type)
    if pa.types.is_list(of) or pa.types.is_large_list(of):
        return f"lists of {_kind(of.value_type)}"
    return next((kind for kind, tests in _KINDS.items() if any(test(of) for test in tests)), str(of))


@contextmanager
def _reading(path: str | Location, form: RowForm) -> Iterator[pq.ParquetFile]:
    path = location_of(path)
    with _naming(path, form), _opened(path, form) as file:
        yield file


@contextmanager
def _naming(path: Location, form: RowForm) -> Iterator[None]:
    """A context in which any error becomes one `ValueError` that names the file."""
    try:
        yield
    except (UnreadableShardError, StoreError):
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UnreadableShardError(f"{path}: not a readable shard of {form.what} ({reason}); make it again") from error
