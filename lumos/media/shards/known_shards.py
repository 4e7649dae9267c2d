"""What an index knows of its shards, so that a set of ten thousand is opened without opening one of them.

    index.json       {..., "shapes": "shapes.npz", "shards": [{"file": "a.parquet", "num_clips": 512, "num_bytes": 9}]}
    shapes.npz       rows  [K, columns], the distinct shapes;   which  [N], the number of each clip's

It lies beside the index of a set of many shards; of few, their own footers say it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lumos.media.decoded import DecodedSample
from lumos.media.files import replacing
from lumos.media.shards.shape_rows import WRITE_AGAIN as _AGAIN
from lumos.media.shards.shape_rows import rows_beside_index
from xllmx.data.kinds import Kinds
from xllmx.store.address import Location
from xllmx.store.local_copy import kept_copy
from xllmx.store.said import naming_addresses

MANY_SHARDS = 64
"""A set of more shards than these has its shapes beside its index."""
SHAPES_NAME = "shapes.npz"
_MOST_BYTES = 2**31

Shape = tuple[int, ...]
"""A row of the shape columns of a `RowForm`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownShards:
    """The shards of a set, none of which need be open."""

    files: Sequence[Location]
    """Where they are."""
    counts: np.ndarray
    """Int64 [files]: clips of each."""
    shapes: Kinds[Shape]
    """The shape of each clip."""
    decoded: list[DecodedSample]
    """The clips of each that were decoded; where an index says it, as many as there were, all of their mean."""
    said: Mapping[str, Any] = field(default_factory=dict)
    """What the index says besides."""


def write_shapes(path: Location, shapes: Kinds[Shape], *, columns: int) -> None:
    """Write the shapes of a set's clips, whole or not at all."""
    rows = np.array(shapes.values, dtype=np.int64).reshape(-1, columns)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, rows=rows, which=shapes.which)


def shards_of_index(
    path: Location, index: Mapping[str, Any], files: Sequence[Location], *, columns: int
) -> KnownShards | None:
    """Return what an index says of its files, as far as that is true; None where it names no shapes.

    Raises:
        ValueError: a file is missing or of another size, or the shapes are not those of so many clips.
    """
    if (name := index.get("shapes")) is None:
        return None
    if name != SHAPES_NAME:
        raise ValueError(f"{path}: its shapes are in {name!r:.60}, and have to be in {SHAPES_NAME}; {_AGAIN}")
    entries = index["shards"]
    for file, entry in zip(files, entries, strict=True):
        if isinstance(file, Path):  # of a store when it is opened
            _check_size(file, entry["num_bytes"], said_by=path)
    counts = np.array([entry["num_clips"] for entry in entries], dtype=np.int64)
    shapes, total = _read_shapes(path.parent / SHAPES_NAME, columns=columns), int(counts.sum())
    if counts.min(initial=0) < 0 or not total == len(shapes) == index["num_clips"]:
        raise ValueError(
            f"{path} says {index['num_clips']} clips, its shards {total} together, and {SHAPES_NAME} has "
            f"{len(shapes)}; {_AGAIN}"
        )
    decoded = [_decoded(file, entry, said_by=path) for file, entry in zip(files, entries, strict=True)]
    said = {name: value for name, value in index.items() if name != "shards"}
    return KnownShards(files=files, counts=counts, shapes=shapes, decoded=decoded, said=said)


def _check_size(file: Path, num_bytes: Any, *, said_by: Location) -> None:
    try:
        found = file.stat().st_size
    except OSError as error:
        raise ValueError(
            f"{file}: {said_by} lists it, and {error.strerror or error}; bring it back, or {_AGAIN}"
        ) from error
    if found != num_bytes:
        raise ValueError(f"{file}: has {found} bytes, but {said_by} says {num_bytes}; {_AGAIN}")


@naming_addresses()
def _read_shapes(path: Location, *, columns: int) -> Kinds[Shape]:
    rows, which = rows_beside_index(kept_copy(path), columns=columns, most_bytes=_MOST_BYTES)
    return Kinds([tuple(row) for row in rows.tolist()], which)


def _decoded(file: Location, entry: Mapping[str, Any], *, said_by: Location) -> DecodedSample:
    num, mean = entry.get("num_decoded", 0), entry.get("psnr_db", 0.0)
    if not isinstance(num, int) or not 0 <= num <= entry["num_clips"] or not isinstance(mean, int | float):
        raise ValueError(
            f"{said_by} says of {file.name} num_decoded {num!r:.40} and psnr_db {mean!r:.40}, which cannot be; {_AGAIN}"
        )
    return DecodedSample(file=file, psnr_db=dict.fromkeys(range(num), float(mean)))
