"""One row of a list, and rows that are read a block at a time: what stays in memory does not grow with the list."""

import threading
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from lumos.lumina_video.data.row_numbers import MOST_MOTION, UNKNOWN_MOTION, number_in
from xllmx.store.access import StoreError
from xllmx.store.address import Address, Location

BLOCK = 4096
"""Rows that are read together."""
MOTION_COLUMN = "unimatch_flow"
"""The name under which the release kept motion scores, whatever made them."""

_KEPT_BLOCKS = 4
_CHUNK_BYTES = 2**23


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A part of a file that is a file of its own: a member of a tar."""

    file: Location
    start: int
    """The first byte."""
    size: int
    """Bytes."""

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes, a few MiB at a time.

        Raises:
            StoreError: the store does not give them.
        """
        starts = range(self.start, self.start + self.size, _CHUNK_BYTES)
        ends = [min(start + _CHUNK_BYTES, self.start + self.size) for start in starts]
        if isinstance(self.file, Address):
            try:
                yield from map(self.file.read_part, starts, ends)
            except FileNotFoundError as error:  # no fault of this row, and all others of the tar would fare the same
                raise StoreError(f"{self.file} is gone; put it back and run the same command again") from error
            return
        with self.file.open("rb") as source:
            source.seek(self.start)
            yield from (source.read(stop - start) for start, stop in zip(starts, ends, strict=True))


@dataclass(frozen=True, kw_only=True)
class Item:
    """One row of a list."""

    row: int
    """Number of the row, from 0, without the header."""
    path: str
    """The file as the list names it."""
    text: str
    """The caption."""
    motion: float = UNKNOWN_MOTION
    """The motion score in the column `unimatch_flow`; -1 where there is none."""
    held: Stretch | None = None
    """Where the file lies that is part of another; None of one that has its own place."""


class BlockRows(Sequence[Item], ABC):
    """Rows of a list as a sequence; a few blocks of them are in memory, those used last. For several threads."""

    sha256: str
    """Of the list: a changed one cannot go on into an output that an earlier one began."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._num_rows = 0
        self._blocks: OrderedDict[int, list[Item]] = OrderedDict()
        self._lock = threading.Lock()

    @abstractmethod
    def _block(self, number: int) -> list[Item]:
        """Read the rows of a block, those from `_starts[number]` on; ValueError where the list has changed."""

    def __len__(self) -> int:
        return self._num_rows

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        row = range(len(self))[index]
        number = bisect_right(self._starts, row) - 1
        with self._lock:
            if number not in self._blocks:
                self._blocks[number] = self._block(number)
                if len(self._blocks) > _KEPT_BLOCKS:
                    self._blocks.popitem(last=False)
            self._blocks.move_to_end(number)
            return self._blocks[number][row - self._starts[number]]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_blocks", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {**state, "_blocks": OrderedDict(), "_lock": threading.Lock()}


def motion_of(value: object, *, where: str) -> float:
    """The motion score that stands in a table or record as text or number; -1 for nothing, and for any below 0.

    Raises:
        ValueError: it is no number, not finite, or larger than any score; `where` is said.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return UNKNOWN_MOTION
    number = number_in(value, most=MOST_MOTION)
    if number is None:
        rule = f"which is no number up to {MOST_MOTION:g}; correct it or leave it empty"
        raise ValueError(f"{where} has {MOTION_COLUMN} {value!r:.60}, {rule}")
    return number if number >= 0 else UNKNOWN_MOTION
