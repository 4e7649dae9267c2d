"""A long sequence of few distinct values: 2 bytes an item, so that what is known of ten million clips takes 20 MB."""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np

_STRETCH = 2**18
_T = TypeVar("_T")
_U = TypeVar("_U")


class Kinds(Sequence[_T], Generic[_T]):
    """Items by the number of their value:  values ["a", "b"], which [0, 1, 1]  is the sequence  a, b, b.

    `values` may hold a value twice, and such as no item has.
    """

    values: Sequence[_T]
    """The distinct values."""
    which: np.ndarray
    """[N], unsigned: the number of each item's value."""

    def __init__(self, values: Sequence[_T], which: np.ndarray) -> None:
        self.values, self.which = values, which.astype(number_type(len(values)), copy=False)

    @classmethod
    def of(cls, items: Iterable[_T]) -> "Kinds[_T]":
        """Return the items of another sequence; values are in the order of their first items."""
        numbers: dict[_T, int] = {}
        which = [numbers.setdefault(item, len(numbers)) for item in items]
        return cls(list(numbers), np.array(which, dtype=np.int64))

    @classmethod
    def joined(cls, parts: "Sequence[Kinds[_T]]") -> "Kinds[_T]":
        """Return one sequence after the other; equal values of several become one."""
        numbers: dict[_T, int] = {}
        tables = [np.array([numbers.setdefault(v, len(numbers)) for v in part.values], np.int64) for part in parts]
        kind = number_type(len(numbers))
        which = [table.astype(kind)[part.which] for table, part in zip(tables, parts, strict=True)]
        return cls(list(numbers), np.concatenate([*which, np.zeros(0, kind)]))

    def given(self, values: Sequence[_U]) -> "Kinds[_U]":
        """Return the sequence in which each value has another in its place: of sizes their lengths, say."""
        assert len(values) == len(self.values)
        return Kinds(values, self.which)

    def paired(self, other: "Kinds[_U]") -> "Kinds[tuple[_T, _U]]":
        """Return (item, item of the other) for each place of two sequences of one length."""
        assert len(self) == len(other)
        values = [(one, two) for one in self.values for two in other.values]
        return Kinds(values, self.which.astype(np.uint32) * len(other.values) + other.which).compact()

    def compact(self) -> "Kinds[_T]":
        """Return the same sequence without values that no item has."""
        used = np.flatnonzero(self.counts())
        if len(used) == len(self.values):
            return self
        numbers = np.zeros(len(self.values), number_type(len(used)))
        numbers[used] = np.arange(len(used))
        return Kinds([self.values[number] for number in used.tolist()], numbers[self.which])

    def by_first(self) -> "Kinds[_T]":
        """Return the same sequence as `of` makes it: each value once, in the order of their first items."""
        one = Kinds.joined([self])
        used, firsts = np.unique(one.which, return_index=True)
        order = used[np.argsort(firsts)]
        numbers = np.zeros(len(one.values), number_type(len(order)))
        numbers[order] = np.arange(len(order))
        return Kinds([one.values[number] for number in order.tolist()], numbers[one.which])

    def counts(self) -> np.ndarray:
        """Return how many items have each value, int64."""
        return counts_of(self.which, len(self.values))

    @overload
    def __getitem__(self, index: int) -> _T: ...
    @overload
    def __getitem__(self, index: "slice | np.ndarray") -> "Kinds[_T]": ...
    def __getitem__(self, index: Any) -> Any:
        """Return an item, or those of a slice or of an array of places."""
        found = self.which[index]
        return Kinds(self.values, found) if isinstance(found, np.ndarray) else self.values[int(found)]

    def __len__(self) -> int:
        return len(self.which)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return all items of numbers, or of rows of them, as an array."""
        return np.asarray(self.values, dtype=dtype)[self.which]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def counts_of(which: np.ndarray, count: int) -> np.ndarray:
    """Return how often each number below `count` is there, int64; of many a stretch at a time, which numpy widens."""
    found = np.zeros(count, np.int64)
    for start in range(0, len(which), _STRETCH):
        found += np.bincount(which[start : start + _STRETCH], minlength=count)
    return found


def number_type(count: int) -> type[np.unsignedinteger]:
    """Return the smallest type for numbers below `count`."""
    return np.uint16 if count <= 2**16 else np.uint32
