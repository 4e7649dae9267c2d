"""The order of a set too large to shuffle whole: few shards at a time, each clip once.

    shards, shuffled      7 2 9 | 4 0 5 | 8 1 3          a window is a few of them, read together
    samples of a window   shuffled, by key; cut into global batches; what fills none goes into the next window

So a rank opens the shards of a window and no others, but for the last few samples of the window before. Everything is a
function of (seed, epoch): the batches of a window are found without those before it, from how many samples of each key
each shard has, so that one number resumes a run here too.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xllmx.data.kinds import Kinds
from xllmx.rng import seed_for
from xllmx.subset import Subset

WINDOW_SHARDS = 16
"""Shards of a window: of 512 to 1024 clips each, some ten thousand clips are mixed."""
POOL_BATCHES = 32
"""Global batches sorted by length together: many enough for even lengths, few enough that an epoch stays well mixed."""
_KEPT_WINDOWS = 3


@dataclass(frozen=True, eq=False)
class _Epoch:
    """How an epoch goes."""

    shards: np.ndarray
    """Int64 [S]: the shards in their order."""
    taken: np.ndarray
    """Int32 [S, G]: how many samples of each key are seen of them, in that order."""
    reached: np.ndarray
    """Int64 [windows + 1, G]: how many of each key the windows up to one hold together."""
    first_batch: np.ndarray
    """Int64 [windows + 1]: the global batch each window begins with."""


class ShardOrder:
    """The global batches of each epoch."""

    def __init__(
        self,
        starts: np.ndarray,
        groups: Kinds[int],
        *,
        size: int,
        seed: int,
        subsets: Sequence[Subset] = (),
        repeats: bool = False,
    ) -> None:
        """Count the samples of each key in each shard.

        Args:
            starts: int64 [S + 1], rising: the first sample of each shard, and the number of samples.
            groups: the number of each sample's key, 0 to G - 1.
            size: samples of a global batch.
            seed: with the number of the epoch, says everything.
            subsets: samples of which an epoch sees a share; each is of whole shards.
            repeats: whether too few samples of a key fill one batch again and again; else they are in none.
        """
        self._starts, self._groups, self._size, self._seed = starts, groups, size, seed
        self._group_of = np.asarray(groups.values, dtype=np.int64)
        num_groups = int(self._group_of.max(initial=0)) + 1
        self._counts = np.zeros((len(starts) - 1, num_groups), np.int32)
        for shard in range(len(self._counts)):
            self._counts[shard] = np.bincount(self._groups_of(shard), minlength=num_groups)
        self._subsets, self._repeats = list(subsets), repeats
        self._epoch_number, self._plan = 0, self._planned(0)
        self._kept: OrderedDict[int, list[np.ndarray]] = OrderedDict()
        self._batches_of_window: tuple[int, list[np.ndarray]] = (-1, [])

    @cached_property
    def num_batches(self) -> int:
        """Global batches of an epoch, the same in each."""
        return int(self._plan.first_batch[-1])

    @property
    def counts(self) -> np.ndarray:
        """Int64 [G]: how many samples there are of each key."""
        return self._counts.sum(axis=0, dtype=np.int64)

    @property
    def drawn(self) -> np.ndarray:
        """Int64 [G]: how many of them an epoch takes, the same in each; fewer than a batch are in none."""
        return self._plan.reached[-1]

    def batch(self, epoch: int, place: int, *, lengths: Kinds[int] | np.ndarray | None) -> np.ndarray:
        """Return the samples of a global batch of an epoch, of similar length where `lengths` are given."""
        if epoch != self._epoch_number:
            self._epoch_number, self._plan = epoch, self._planned(epoch)
            self._kept.clear()
            self._batches_of_window = (-1, [])
        window = int(np.searchsorted(self._plan.first_batch, place, side="right")) - 1
        if window != self._batches_of_window[0]:
            self._batches_of_window = window, self._cut(window, lengths)
        return self._batches_of_window[1][place - int(self._plan.first_batch[window])]

    def _planned(self, number: int) -> _Epoch:
        random = np.random.default_rng(seed_for(self._seed, number, stream="shards"))
        shards = random.permutation(len(self._counts))
        taken, first, after = self._counts[shards], self._starts[shards], self._starts[shards + 1]
        for subset in self._subsets:  # its share of what the shards hold so far, so that epochs are of one length
            inside = (first >= subset.start) & (after <= subset.stop) & (first < after)
            reached = np.cumsum(taken[inside], axis=0, dtype=np.int64)
            if len(reached):
                drawn = np.array([subset.count(int(total)) for total in reached[-1]])
                taken[inside] = np.diff(reached * drawn // np.maximum(reached[-1], 1), axis=0, prepend=0)
        ends = np.minimum(np.arange(0, len(shards) + WINDOW_SHARDS, WINDOW_SHARDS), len(shards))
        reached = np.concatenate([np.zeros((1, taken.shape[1]), np.int64), np.cumsum(taken, axis=0, dtype=np.int64)])[
            ends
        ]
        first_batch = (reached // self._size).sum(axis=1)
        if self._repeats:
            first_batch[-1] += int(((reached[-1] > 0) & (reached[-1] < self._size)).sum())
        return _Epoch(shards=shards, taken=taken, reached=reached, first_batch=first_batch)

    def _cut(self, window: int, lengths: Kinds[int] | np.ndarray | None) -> list[np.ndarray]:
        """Return the global batches that are full with the samples of a window."""
        found: list[np.ndarray] = []
        size, is_last = self._size, window == len(self._plan.reached) - 2
        for group, (before, reached) in enumerate(zip(*self._plan.reached[window : window + 2].tolist(), strict=True)):
            if self._repeats and is_last and 0 < reached < size:
                found.append(np.resize(self._carried(window + 1, group, reached), size))
            if reached // size == before // size:
                continue
            rows, carried = self._rows(window)[group], before % size
            if carried:
                found.append(np.concatenate([self._carried(window, group, carried), rows[: size - carried]]))
                rows = rows[size - carried :]
            found.extend(by_length(rows[: len(rows) // size * size], size, lengths=lengths))
        random = np.random.default_rng(seed_for(self._seed, self._epoch_number, rank=window, stream="batches"))
        return [found[place] for place in random.permutation(len(found))]

    def _carried(self, window: int, group: int, number: int) -> np.ndarray:
        """Return the last samples of a key before a window, so many of them."""
        parts: list[np.ndarray] = []
        while number:
            window -= 1
            if self._plan.reached[window + 1, group] > self._plan.reached[window, group]:
                rows = self._rows(window)[group]
                parts.insert(0, rows[-number:])
                number -= len(parts[0])
        return np.concatenate(parts)

    def _rows(self, window: int) -> list[np.ndarray]:
        """Return the samples of a window by key, shuffled."""
        if window not in self._kept:
            self._kept[window] = self._shuffled(window)
            if len(self._kept) > _KEPT_WINDOWS:
                self._kept.popitem(last=False)
        return self._kept[window]

    def _shuffled(self, window: int) -> list[np.ndarray]:
        random = np.random.default_rng(seed_for(self._seed, self._epoch_number, rank=window, stream="window"))
        parts: list[list[np.ndarray]] = [[np.zeros(0, np.int64)] for _ in range(self._counts.shape[1])]
        for place in range(window * WINDOW_SHARDS, min((window + 1) * WINDOW_SHARDS, len(self._plan.shards))):
            shard = int(self._plan.shards[place])
            groups = self._groups_of(shard)
            for group in np.flatnonzero(self._counts[shard]).tolist():
                rows, seen = np.flatnonzero(groups == group) + self._starts[shard], self._plan.taken[place, group]
                parts[group].append(rows if seen == len(rows) else random.permutation(rows)[:seen])
        return [random.permutation(np.concatenate(rows)) for rows in parts]

    def _groups_of(self, shard: int) -> np.ndarray:
        return self._group_of[self._groups.which[self._starts[shard] : self._starts[shard + 1]]]


def by_length(rows: np.ndarray, size: int, *, lengths: Kinds[int] | np.ndarray | None) -> np.ndarray:
    """Return samples as batches of `size`, [batches, size], sorted by length within pools of batches.

    Without `lengths` they stay in their order. Of `rows`, whose number `size` divides, the memory is used.
    """
    if lengths is None:
        return rows.reshape(-1, size)
    pool = POOL_BATCHES * size
    for start in range(0, len(rows), pool):
        part = rows[start : start + pool]
        part[:] = part[np.argsort(np.asarray(lengths[part]), kind="stable")]
    return rows.reshape(-1, size)
