"""What shards on this disk say of the shapes of their rows at a glance; imported without torch.

Training reads the same, and checks it: here nothing is said of what is damaged or missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lumos.media.shards.shape_rows import rows_beside_index, rows_of_shard
from xllmx.safe.inside import inside
from xllmx.safe.json_text import read_object

_INDEX, _SHAPES = "index.json", "shapes.npz"
_MOST_SHARDS = 64
"""A set of more has its shapes in a file beside its index, or is not looked into here."""
_MOST_ROWS = 2**20
"""Of a shard that is looked into."""
_MOST_BYTES = 2**28
UNREADABLE = (ValueError, OSError, LookupError, TypeError, AttributeError, pa.ArrowException)
"""What damaged shards and indices come to."""


@dataclass(frozen=True, kw_only=True)
class RecordedRows:
    """The shapes of the rows of a set."""

    shapes: np.ndarray
    """[K, columns], each shape once."""
    which: np.ndarray
    """[N], the number of each row's shape."""
    index: Mapping[str, Any]
    """What the index says; empty where there is none."""
    first_file: Path
    """The first shard."""


def recorded_rows(path: Path, columns: Sequence[str], *, index_format: str) -> RecordedRows | None:
    """Return what a folder of shards, its index or one shard says; None where it is none of them, or does not say.

    Args:
        path: where it is.
        columns: those of whole numbers that make a shape.
        index_format: how the index of such shards names itself.
    """
    try:
        index = _index_of(path, index_format)
        files = _files_of(path, index)
        if index.get("shapes") == _SHAPES:
            beside = _folder_of(path) / _SHAPES
            shapes, which = rows_beside_index(beside, columns=len(columns), most_bytes=_MOST_BYTES)
            shapes = shapes.astype(np.int64)
        else:
            shapes, which = _in_shards(files, columns)
        return RecordedRows(shapes=shapes, which=which, index=index, first_file=files[0])
    except UNREADABLE:
        return None


def _index_of(path: Path, index_format: str) -> Mapping[str, Any]:
    """Return the index of a set; empty where it has none."""
    file = path / _INDEX if path.is_dir() else path
    index = read_object(file) if file.name == _INDEX and file.is_file() else {}
    if index and index.get("format") != index_format:
        raise ValueError(f"{file} is no index of these")
    return index


def _files_of(path: Path, index: Mapping[str, Any]) -> list[Path]:
    if index:
        found = [inside(_folder_of(path), entry["file"], said_by=path, remedy="") for entry in index["shards"]]
        return [Path(str(file)) for file in found]
    if path.is_dir():
        return sorted(path.glob("*.parquet"))
    return [path] if path.suffix == ".parquet" else []


def _folder_of(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _in_shards(files: Sequence[Path], columns: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the same of a few shards, by their columns."""
    if len(files) > _MOST_SHARDS or not all(file.is_file() for file in files):
        raise ValueError("too many to look into, or not there")
    rows = []
    for file in files:
        with pq.ParquetFile(pa.memory_map(str(file))) as shard:
            if shard.metadata.num_rows > _MOST_ROWS:
                raise ValueError("too many to look into")
            rows.append(rows_of_shard(shard, columns))
    values, which = np.unique(np.concatenate(rows), axis=0, return_inverse=True)
    return values, which.reshape(-1)
