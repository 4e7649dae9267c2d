"""What shards of latents on this disk say of their clips at a glance; imported without torch.

Training reads the same, and checks it: here nothing is said of what is damaged or missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xllmx.safe.arrays import read_array
from xllmx.safe.inside import inside
from xllmx.safe.json_text import parse_json, read_object

_COLUMNS = ["C", "T", "H", "W", "lead"]
_INDEX, _SHAPES, _VAE = "index.json", "shapes.npz", "lumina.vae"
_MOST_SHARDS = 64
"""A set of more has its shapes in a file beside its index, or is not looked into here."""
_MOST_ROWS = 2**20
"""Of a shard that is looked into."""
_MOST_BYTES = 2**28


@dataclass(frozen=True, kw_only=True)
class RecordedShapes:
    """The shapes of the clips of a set."""

    shapes: Sequence[tuple[int, ...]]
    """(C, T, H, W, lead), each once."""
    total: int
    """How many clips there are."""
    first: int
    """The place in `shapes` of that of the first clip."""
    spatial: int
    """Pixels per latent of the VAE, along a side."""
    temporal: int
    """Frames per latent of it."""


def recorded_shapes(path: Path) -> RecordedShapes | None:
    """Return what a folder of shards, its index or one shard says; None where it is none of them, or does not say."""
    try:
        index = _index_of(path)
        files = _files_of(path, index)
        many = index.get("shapes") == _SHAPES
        rows, which = _beside(_folder_of(path) / _SHAPES) if many else _in_shards(files)
        vae = index.get("vae") or parse_json((pq.read_schema(files[0]).metadata or {})[_VAE.encode()], _VAE)
        spatial, temporal = int(vae["spatial"]), int(vae["temporal"])
        first = int(which[0]) if len(which) else 0
        shapes = [tuple(row) for row in rows.tolist()]
    except (ValueError, OSError, LookupError, TypeError, AttributeError, pa.ArrowException):
        return None
    if min(spatial, temporal) < 1 or any(len(shape) != len(_COLUMNS) for shape in shapes):
        return None
    return RecordedShapes(shapes=shapes, total=len(which), first=first, spatial=spatial, temporal=temporal)


def _index_of(path: Path) -> Mapping[str, Any]:
    """Return the index of a set; empty where it has none."""
    file = path / _INDEX if path.is_dir() else path
    index = read_object(file) if file.name == _INDEX and file.is_file() else {}
    if index and index.get("format") != "lumina-latents":
        raise ValueError(f"{file} is no index of latents")
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


def _beside(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct shapes of a set of many shards, and the number of each clip's."""
    rows, which = (read_array(file, name, most_bytes=_MOST_BYTES) for name in ("rows", "which"))
    return rows, which


def _in_shards(files: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Return the same of a few shards, by their columns."""
    if len(files) > _MOST_SHARDS or not all(file.is_file() for file in files):
        raise ValueError("too many to look into, or not there")
    rows = []
    for file in files:
        with pq.ParquetFile(pa.memory_map(str(file))) as shard:
            if shard.metadata.num_rows > _MOST_ROWS:
                raise ValueError("too many to look into")
            table = shard.read(columns=_COLUMNS, use_threads=False)
        rows.append(np.stack([table[name].to_numpy() for name in _COLUMNS], axis=1).astype(np.int64))
    values, which = np.unique(np.concatenate(rows), axis=0, return_inverse=True)
    return values, which.reshape(-1)
