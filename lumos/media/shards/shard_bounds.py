"""What the rows of a shard may take: of a few zeros a file of a kilobyte can make gigabytes, or say that it has them.

The footer tells the bytes of each row group, packed and unpacked, before any of them is read.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow.parquet as pq

MOST_OF_A_SHAPE = 2**20
"""Of any number of a shape: the product of three of them is a number of 64 bits."""
_ALWAYS_ROWS = 2**16
"""A file may have so many rows, however few its bytes."""
_ALWAYS_BYTES = 64 * 2**20
"""A row group may take so many in memory, however few it has in its file."""
_MOST_UNPACKED = 100
"""How many times its bytes in the file it may take beyond that: clips hardly pack, zeros 30,000 to one."""
_VALUE_BYTES = 8


def check_shapes(rows: np.ndarray, columns: Sequence[str]) -> None:
    """Check that shapes, int64 [N, columns], are such as clips can have.

    Raises:
        ValueError: a number is below 0, or beyond `MOST_OF_A_SHAPE`.
    """
    wrong = np.argwhere((rows < 0) | (rows > MOST_OF_A_SHAPE))
    if len(wrong):
        row, column = wrong[0]
        rule = "less than 0" if rows[row, column] < 0 else f"more than {MOST_OF_A_SHAPE}"
        raise ValueError(f"row {row} has {columns[column]} {rows[row, column]}, which cannot be {rule}")


def check_not_empty(shape: Sequence[int]) -> None:
    """Check that a clip of a shape holds something.

    Raises:
        ValueError: it has no frames, rows or columns.
    """
    if 0 in shape:
        raise ValueError(f"a clip of {'x'.join(map(str, shape))} holds nothing")


def check_num_rows(about: pq.FileMetaData) -> None:
    """Check that a file has the bytes that its rows take, one a row at the least.

    Raises:
        ValueError: it does not.
    """
    if (rows := about.num_rows) <= _ALWAYS_ROWS:
        return
    packed = sum(_packed_bytes(about.row_group(number)) for number in range(about.num_row_groups))
    if rows > packed:
        raise ValueError(f"it says {rows} rows, and all of them have {packed} bytes in it")


def check_unpacked(group: pq.RowGroupMetaData) -> None:
    """Check that a row group is not far larger in memory than in its file.

    Raises:
        ValueError: it is.
    """
    columns = [group.column(number) for number in range(group.num_columns)]
    unpacked = sum(max(one.total_uncompressed_size, one.num_values * _VALUE_BYTES) for one in columns)
    if unpacked > max(_ALWAYS_BYTES, _MOST_UNPACKED * _packed_bytes(group)):
        raise ValueError(
            f"a row group of {_packed_bytes(group)} bytes takes {unpacked} in memory; no clips pack so well"
        )


def _packed_bytes(group: pq.RowGroupMetaData) -> int:
    return sum(group.column(number).total_compressed_size for number in range(group.num_columns))
