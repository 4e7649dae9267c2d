"""The shapes of a set's clips, from the columns of a shard or from the file beside an index; imported without torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lumos.media.shards.shard_bounds import MOST_OF_A_SHAPE, check_shapes
from xllmx.safe.arrays import read_array

WRITE_AGAIN = "write the index again"


def rows_of_shard(file: pq.ParquetFile, columns: Sequence[str]) -> np.ndarray:
    """Return the shape of each row, int64 [N, columns].

    Raises:
        ValueError: a row says nothing, or what no clip can have.
    """
    table = file.read(columns=list(columns), use_threads=False)
    if empty := [name for name in columns if table[name].null_count]:
        raise ValueError(f"it has rows with nothing in {', '.join(empty)}")
    rows = np.stack([table[name].cast(pa.int64()).to_numpy() for name in columns], axis=1)
    check_shapes(rows, columns)
    return rows


def rows_beside_index(path: Path, *, columns: int, most_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct shapes in a `shapes.npz`, whole numbers [K, columns], and the number of each clip's, [N].

    Raises:
        ValueError: it holds no such, or shapes that no clip can have; names the file.
    """
    rows, which = (read_array(path, name, most_bytes=most_bytes) for name in ("rows", "which"))
    whole = rows.dtype.kind in "iu" and which.dtype.kind == "u" and rows.ndim == 2 and which.ndim == 1
    if not whole or rows.shape[1] != columns or (len(which) and which.max() >= len(rows)):
        raise ValueError(f"{path}: holds no shapes of {columns} numbers, or numbers clips past them; {WRITE_AGAIN}")
    for wrong, rule in ((rows.min(initial=0), "less than 0"), (rows.max(initial=0), f"more than {MOST_OF_A_SHAPE}")):
        if not 0 <= wrong <= MOST_OF_A_SHAPE:
            raise ValueError(f"{path}: holds a shape with {wrong}, and none can be {rule}; {WRITE_AGAIN}")
    return rows, which
