"""Clips in Parquet files: one row a clip, small row groups so that any clip is read without its neighbours' shard."""

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lumos.lumos1.sequence import Clip, sequence_length
from lumos.media.files import replacing
from xllmx.safe.inside import inside

INDEX_FORMAT = "lumos-clips"
INDEX_NAME = "index.json"

_ROW_GROUP_BYTES = 256 * 1024
_OPEN_SHARDS = 32
_KEPT_BYTES = 64 * 2**20
"""Row groups kept in memory. Of small clips a group holds hundreds, and each clip of a shuffled batch is in another."""
_SCHEMA = pa.schema(
    [
        ("prompt_ids", pa.list_(pa.int32())),
        ("num_prompt_ids", pa.int32()),
        ("caption", pa.string()),
        ("codes", pa.binary()),  # uint16, little-endian, [T, H, W] row-major
        ("T", pa.int32()),
        ("H", pa.int32()),
        ("W", pa.int32()),
        ("fps", pa.int32()),
        ("duration", pa.int32()),
        ("source", pa.string()),
    ]
)
SHAPE_COLUMNS = ("num_prompt_ids", "T", "H", "W", "fps", "duration")
"""Columns of `shapes`, which has a row for each clip."""


class UnreadableShardError(ValueError):
    """A Parquet file that is damaged, cut, missing or holds something else than clips."""


def write_shard(path: str | Path, clips: Sequence[Clip], *, metadata: Mapping[str, str] | None = None) -> None:
    """Write `clips` (none is allowed) as one Parquet file, whole or not at all; `metadata` is kept in its footer."""
    schema = _SCHEMA.with_metadata(dict(metadata or {}))
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": False, "write_page_checksum": True}
    with (
        replacing(path) as temporary,
        temporary.open("wb") as file,
        pq.ParquetWriter(file, schema, **options) as writer,
    ):
        for group in _row_groups(clips):
            writer.write_table(pa.Table.from_pylist([_row(clip) for clip in group], schema=schema))


def shard_metadata(path: str | Path) -> dict[str, str]:
    """What `write_shard` was given as `metadata`. Raises `ValueError` for a file that is no shard."""
    with _reading(path) as file:
        pairs = file.schema_arrow.metadata or {}
    return {key.decode(): value.decode() for key, value in pairs.items()}


def num_clips(path: str | Path) -> int:
    """Number of clips in a shard, from its footer. Raises `ValueError` for a file that is no shard."""
    with _reading(path) as file:
        return file.metadata.num_rows


def write_index(path: str | Path, shards: Sequence[Path], *, skipped: Mapping[str, int] | None = None) -> int:
    """Write the index of a finished set of shards (their paths relative to it); return the number of clips in it.

    `skipped` says how many rows gave no clip, by reason: it stands in the index for people.
    """
    path = Path(path)
    entries: list[dict[str, Any]] = [
        {"file": shard.relative_to(path.parent).as_posix(), "num_clips": num_clips(shard)} for shard in shards
    ]
    total = sum(int(entry["num_clips"]) for entry in entries)
    index: dict[str, Any] = {"format": INDEX_FORMAT, "version": 1, "num_clips": total, "shards": entries}
    if skipped:
        index["skipped"] = dict(skipped)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(index, indent=1) + "\n")
    return total


def shards_of_index(path: Path, index: Mapping[str, Any]) -> list[Path]:
    """The shards an index lists, checked against it. Raises `ValueError` where one is missing or of another length."""
    shards = []
    for entry in index["shards"]:
        remedy = "a set of clips has its shards in its own folder: move them there and write the index again"
        shard = inside(path.parent, entry["file"], said_by=path, remedy=remedy)
        if (found := num_clips(shard)) != entry["num_clips"]:
            raise ValueError(
                f"{shard}: holds {found} clips, but {path} says {entry['num_clips']}; write the index again"
            )
        shards.append(shard)
    return shards


class ClipShards:
    """The clips of several Parquet files as one sequence; files are memory-mapped and opened when first needed."""

    shapes: np.ndarray
    """Int64 [N, 6]: `SHAPE_COLUMNS` of each clip."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = list(files)
        self._open: OrderedDict[int, pq.ParquetFile] = OrderedDict()
        self._kept: OrderedDict[int, pa.Table] = OrderedDict()
        self._kept_bytes = 0
        groups, starts, shapes, total = [], [], [np.zeros((0, len(SHAPE_COLUMNS)), np.int64)], 0
        for number, path in enumerate(self._files):
            with _reading(path) as file:
                for group in range(file.num_row_groups):
                    groups.append((number, group))
                    starts.append(total)
                    total += file.metadata.row_group(group).num_rows
                columns = file.read(columns=list(SHAPE_COLUMNS), use_threads=False)
                shapes.append(np.stack([columns[name].to_numpy() for name in SHAPE_COLUMNS], axis=1))
        self._groups, self._starts = groups, np.array(starts, dtype=np.int64)
        self.shapes = np.concatenate(shapes)
        self.lengths = sequence_lengths(self.shapes)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Clip:
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        with _naming(self._files[self._groups[group][0]]):
            return _clip(self._table(group), index - int(self._starts[group]))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": OrderedDict(), "_kept": OrderedDict(), "_kept_bytes": 0}

    def _table(self, group: int) -> pa.Table:
        """Return a row group, from memory or read now; the groups longest unused make room for it."""
        if group not in self._kept:
            number, local = self._groups[group]
            table = self._kept[group] = self._file(number).read_row_group(local, use_threads=False)
            self._kept_bytes += table.nbytes
            while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
                self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        self._kept.move_to_end(group)
        return self._kept[group]

    def _file(self, number: int) -> pq.ParquetFile:
        if number not in self._open:
            self._open[number] = _open(self._files[number])
            if len(self._open) > _OPEN_SHARDS:
                self._open.popitem(last=False)[1].close(force=True)
        self._open.move_to_end(number)
        return self._open[number]


def _row_groups(clips: Sequence[Clip]) -> Iterator[Sequence[Clip]]:
    """Consecutive clips, about `_ROW_GROUP_BYTES` of codes together, at least one."""
    start, num_bytes = 0, 0
    for index, clip in enumerate(clips):
        if index > start and num_bytes + clip.codes.nbytes > _ROW_GROUP_BYTES:
            yield clips[start:index]
            start, num_bytes = index, 0
        num_bytes += clip.codes.nbytes
    if start < len(clips):
        yield clips[start:]


def _row(clip: Clip) -> dict[str, Any]:
    T, H, W = clip.codes.shape
    return {
        "prompt_ids": np.asarray(clip.prompt_ids, dtype=np.int32),
        "num_prompt_ids": len(clip.prompt_ids),
        "caption": clip.caption,
        "codes": clip.codes.astype("<u2").tobytes(),
        "T": T,
        "H": H,
        "W": W,
        "fps": clip.fps,
        "duration": clip.duration,
        "source": clip.source,
    }


def _clip(table: pa.Table, row: int) -> Clip:
    values = {name: table[name][row] for name in _SCHEMA.names}
    shape = tuple(values[name].as_py() for name in ("T", "H", "W"))
    return Clip(
        prompt_ids=values["prompt_ids"].values.to_numpy().astype(np.int32),
        caption=values["caption"].as_py(),
        codes=np.frombuffer(values["codes"].as_buffer(), dtype="<u2").reshape(shape).astype(np.uint16),
        fps=values["fps"].as_py(),
        duration=values["duration"].as_py(),
        source=values["source"].as_py(),
    )


def sequence_lengths(shapes: np.ndarray) -> np.ndarray:
    """Return the number of tokens of each clip's sequence, int64 [N], from rows that begin (prompt ids, T, H, W)."""
    grids, which = np.unique(shapes[:, 1:4], axis=0, return_inverse=True)
    answers = [sequence_length(0, (int(T), int(H), int(W))) for T, H, W in grids]
    return shapes[:, 0] + np.array(answers, dtype=np.int64)[which.reshape(-1)]


def _open(path: Path) -> pq.ParquetFile:
    with _naming(path):
        if path.exists() and not path.is_file():  # a pipe would be waited for without end
            raise ValueError("it is a folder, a pipe or a device")
        file = pq.ParquetFile(pa.memory_map(str(path)), page_checksum_verification=True)
        if missing := set(_SCHEMA.names) - set(file.schema_arrow.names):
            raise ValueError(f"it lacks the columns {sorted(missing)}")
        return file


@contextmanager
def _reading(path: str | Path) -> Iterator[pq.ParquetFile]:
    path = Path(path)
    with _naming(path), _open(path) as file:
        yield file


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A context in which any error becomes one `ValueError` that names the file."""
    try:
        yield
    except UnreadableShardError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UnreadableShardError(f"{path}: not a readable shard of clips ({reason}); make it again") from error
