"""Which samples make batch number n of a rank: a pure function, so that one integer resumes a run."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xllmx.rng import seed_for
from xllmx.subset import Subset, draw, num_drawn

_POOL_BATCHES = 32
"""Global batches sorted by length together: many enough for even lengths, few enough that an epoch stays well mixed."""


@dataclass(kw_only=True)
class BatchOrder:
    """Batches of samples of similar length, disjoint over ranks, in an order that depends on (seed, epoch) alone.

    An epoch is a sequence of *global* batches of `batch_size * num_ranks * accumulation` samples, each within one
    bucket key and of similar length. A rank's batches are its parts of these, in the order they are drawn:

        global batch g:  [ micro-batch 0: rank 0 | rank 1 ] [ micro-batch 1: rank 0 | rank 1 ]

    so the samples of a step are the same however it is cut. Samples that do not fill a global batch wait for another
    epoch, whose shuffle leaves out others. A key with too few samples for one global batch repeats them.
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
    by_length: bool = True
    """Whether samples of similar length share a batch; False: as the shuffle has them."""
    subsets: Sequence[Subset] = ()
    """Samples of which each epoch sees a share, drawn from (seed, epoch); no two overlap. Of each bucket key the same
    share is seen, so that all epochs are of one length."""
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
        self._batches_of_epoch = np.empty((0, 0), dtype=np.int64)

    @property
    def global_batch_size(self) -> int:
        """Samples of one global batch."""
        return self.batch_size * self.num_ranks * self.accumulation

    @cached_property
    def global_batches_per_epoch(self) -> int:
        """Global batches of an epoch."""
        counts = [num_drawn(indices, self.subsets) for indices in self._by_key]
        return sum(max(count // self.global_batch_size, 1) for count in counts)

    @property
    def batches_per_epoch(self) -> int:
        """Batches of an epoch on one rank."""
        return self.global_batches_per_epoch * self.accumulation

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the batches from number `start` on, without end: epochs follow each other."""
        number = self.start
        while True:
            yield self.batch(number)
            number += 1

    def batch(self, number: int) -> list[int]:
        """Return the sample indices of this rank's batch `number`, counted from the first of training."""
        global_number, micro = divmod(number, self.accumulation)
        first = self.slot(micro)
        return self.global_batch(global_number)[first : first + self.batch_size].tolist()

    def global_batch(self, number: int) -> np.ndarray:
        """Return the sample indices of global batch `number`, counted from the first of training."""
        epoch, place = divmod(number, self.global_batches_per_epoch)
        if epoch != self._epoch:
            self._batches_of_epoch, self._epoch = self._shuffled(epoch), epoch
        return self._batches_of_epoch[place]

    def slot(self, micro: int) -> int:
        """Return the place in the global batch of the first sample of this rank's micro-batch."""
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
        """Return the global batches of the epoch, [global_batches_per_epoch, global_batch_size]."""
        # The name of this random stream is part of every run's order: another one would change resumed runs.
        random = np.random.default_rng(seed_for(self.seed, epoch, stream="sampler"))
        groups = self._by_key
        if self.subsets:  # of its own stream: the order of what is drawn stays that of a set without subsets
            choosing = np.random.default_rng(seed_for(self.seed, epoch, stream="subsets"))
            groups = [draw(indices, self.subsets, choosing) for indices in groups]
        lengths = np.asarray(self.lengths)
        batches = np.concatenate([self._batches_of(indices, lengths, random) for indices in groups])
        return batches[random.permutation(len(batches))]

    def _batches_of(self, indices: np.ndarray, lengths: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return the global batches of the samples of one key, shuffled, then sorted by length within pools.

        `by_length` False leaves them shuffled.
        """
        size = self.global_batch_size
        shuffled = random.permutation(indices)
        shuffled = np.resize(shuffled, max(len(shuffled) // size, 1) * size)  # cut, or repeat where there are too few
        if not self.by_length:
            return shuffled.reshape(-1, size)
        pool = _POOL_BATCHES * size
        pools = [shuffled[start : start + pool] for start in range(0, len(shuffled), pool)]
        by_length = [part[np.argsort(lengths[part], kind="stable")] for part in pools]
        return np.concatenate(by_length).reshape(-1, size)
