"""Which samples make batch number n of a rank: a pure function, so that one integer resumes it."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xllmx.rng import seed_for

_POOL_GROUPS = 32
"""Batches sorted by length together: large enough for even lengths, small enough that an epoch is still well mixed."""


@dataclass(kw_only=True)
class BucketedSampler:
    """Batches of samples of similar length, disjoint over ranks, in an order that depends on (seed, epoch) alone.

    An epoch is a sequence of *global* batches of `batch_size * num_ranks * accumulation` samples, each within one
    bucket key and of similar length. A rank's batches are its cuts of these, in the order they are drawn:

        global batch g:  [ micro-batch 0: rank 0 | rank 1 ] [ micro-batch 1: rank 0 | rank 1 ]

    so the samples of a step are the same however it is cut. What does not fill a global batch waits for another epoch
    (another shuffle leaves other samples); a key with too few samples for one is filled up by repeating them.
    """

    lengths: Sequence[int]
    """Cost of each sample, in tokens."""
    batch_size: int
    """Samples of one batch on one rank."""
    seed: int = 0
    rank: int = 0
    num_ranks: int = 1
    accumulation: int = 1
    """Batches that make one optimiser step on one rank."""
    bucket_keys: Sequence[Hashable] | None = None
    """Samples share a batch only if their keys are equal; None: any may."""
    start: int = 0
    """Batches drawn so far: iteration goes on from here."""

    def __post_init__(self) -> None:
        if len(self.lengths) == 0:
            raise ValueError("the dataset is empty; give it at least one sample")
        if self.batch_size < 1 or self.accumulation < 1:
            raise ValueError(f"batch_size {self.batch_size} and accumulation {self.accumulation} must be at least 1")
        if self.bucket_keys is not None and len(self.bucket_keys) != len(self.lengths):
            raise ValueError(f"{len(self.bucket_keys)} bucket_keys for {len(self.lengths)} samples; give one for each")
        self._epoch = -1
        self._groups = np.empty((0, 0), dtype=np.int64)

    @property
    def group_size(self) -> int:
        """Samples of one global batch."""
        return self.batch_size * self.num_ranks * self.accumulation

    @cached_property
    def groups_per_epoch(self) -> int:
        """Global batches of an epoch."""
        return sum(max(len(indices) // self.group_size, 1) for indices in self._by_key)

    @property
    def batches_per_epoch(self) -> int:
        """Batches of an epoch on one rank."""
        return self.groups_per_epoch * self.accumulation

    def __iter__(self) -> Iterator[list[int]]:
        """Returns the batches from number `start` on, without end: epochs follow each other."""
        number = self.start
        while True:
            yield self.batch(number)
            number += 1

    def batch(self, number: int) -> list[int]:
        """Returns the sample indices of this rank's batch `number`, counted from the first of training."""
        group, micro = divmod(number, self.accumulation)
        first = self.slot(micro)
        return self.global_batch(group)[first : first + self.batch_size].tolist()

    def global_batch(self, group: int) -> np.ndarray:
        """Returns the sample indices of a whole global batch, `group` counted from the first of training."""
        epoch, place = divmod(group, self.groups_per_epoch)
        if epoch != self._epoch:
            self._groups, self._epoch = self._shuffled(epoch), epoch
        return self._groups[place]

    def slot(self, micro: int) -> int:
        """Returns the place in the global batch of the first sample of this rank's micro-batch."""
        return (micro * self.num_ranks + self.rank) * self.batch_size

    @cached_property
    def _by_key(self) -> list[np.ndarray]:
        if self.bucket_keys is None:
            return [np.arange(len(self.lengths))]
        places: dict[Hashable, list[int]] = {}
        for index, key in enumerate(self.bucket_keys):
            places.setdefault(key, []).append(index)
        return [np.asarray(indices) for indices in places.values()]

    def _shuffled(self, epoch: int) -> np.ndarray:
        """Returns the global batches of the epoch, [groups_per_epoch, group_size]."""
        random = np.random.default_rng(seed_for(self.seed, epoch, stream="sampler"))
        lengths = np.asarray(self.lengths)
        groups = np.concatenate([self._groups_of(indices, lengths, random) for indices in self._by_key])
        return groups[random.permutation(len(groups))]

    def _groups_of(self, indices: np.ndarray, lengths: np.ndarray, random: np.random.Generator) -> np.ndarray:
        order = random.permutation(indices)
        order = np.resize(order, max(len(order) // self.group_size, 1) * self.group_size)  # cut, or repeat a short one
        pool = _POOL_GROUPS * self.group_size
        pools = [order[start : start + pool] for start in range(0, len(order), pool)]
        by_length = [part[np.argsort(lengths[part], kind="stable")] for part in pools]
        return np.concatenate(by_length).reshape(-1, self.group_size)
