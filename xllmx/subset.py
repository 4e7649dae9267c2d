"""Samples of which each epoch sees a share, drawn anew."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Subset:
    """A stretch of a data set's samples of which an epoch sees a share, without one of them twice."""

    start: int
    """The first sample."""
    stop: int
    """The one after the last."""
    share: float
    """How much of them an epoch sees, 0 to 1; at least one sample."""

    def holds(self, indices: np.ndarray) -> np.ndarray:
        """Return a mask, True where a sample is one of the stretch."""
        return (self.start <= indices) & (indices < self.stop)

    def count(self, number: int) -> int:
        """Return how many of `number` samples an epoch sees, the same in every epoch."""
        return min(number, max(1, round(self.share * number)))


def within(subsets: Sequence[Subset], used: Sequence[int] | np.ndarray) -> list[Subset]:
    """Return the subsets as they lie in a data set that holds the samples `used` (rising) of theirs and no other."""
    ends = [np.searchsorted(used, (subset.start, subset.stop)).tolist() for subset in subsets]
    return [replace(subset, start=start, stop=stop) for subset, (start, stop) in zip(subsets, ends, strict=True)]


def num_drawn(indices: np.ndarray, subsets: Sequence[Subset]) -> int:
    """Return how many of the samples an epoch sees."""
    left_out = 0
    for subset in subsets:
        number = int(subset.holds(indices).sum())
        left_out += number - subset.count(number)
    return len(indices) - left_out


def draw(indices: np.ndarray, subsets: Sequence[Subset], random: np.random.Generator) -> np.ndarray:
    """Return the samples that an epoch sees, in their order: a new draw of each subset, and all that is in none."""
    kept = np.ones(len(indices), dtype=bool)
    for subset in subsets:
        (places,) = np.nonzero(subset.holds(indices))
        kept[random.permutation(places)[subset.count(len(places)) :]] = False
    return indices[kept]
