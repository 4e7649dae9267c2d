"""Which samples make batch number n of a rank: a pure function, so that one integer resumes a run."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xllmx.data.kinds import Kinds
from xllmx.data.shard_order import ShardOrder, by_length
from xllmx.rng import seed_for
from xllmx.subset import Subset, draw, num_drawn


@dataclass(kw_only=True)
class BatchOrder:
    """Batches of samples of similar length, disjoint over ranks, in an order that depends on (seed, epoch) alone.

    An epoch is a sequence of *global* batches of `batch_size * num_ranks * accumulation` samples, each within one
    bucket key and of similar length. A rank's batches are its parts of these, in the order they are drawn:

        global batch g:  [ micro-batch 0: rank 0 | rank 1 ] [ micro-batch 1: rank 0 | rank 1 ]

    so the samples of a step are the same however it is cut. Samples that do not fill a global batch wait for another
    epoch, whose shuffle leaves out others. A key with too few samples for one global batch gives none (`num_too_few`),
    and no key with enough is an error; where `repeats` is set, as to evaluate, such a key has one batch of its samples
    again and again.

    With `shard_starts` an epoch goes from shard to shard (`xllmx.data.shard_order`), else any sample may follow any.
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
    shard_starts: np.ndarray | None = None
    """Int64 [shards + 1]: the first sample of each shard, where few shards at a time are to be open."""
    repeats: bool = False
    """Whether a key with too few samples for one global batch fills it with the same ones again."""
    start: int = 0
    """Batches drawn so far: iteration goes on from here."""

    def __post_init__(self) -> None:
        if len(self.lengths) == 0:
            raise ValueError("the dataset is empty; give it at least one sample")
        if self.batch_size < 1 or self.accumulation < 1:
            raise ValueError(f"batch_size {self.batch_size} and accumulation {self.accumulation} must be at least 1")
        if self.bucket_keys is not None and len(self.bucket_keys) != len(self.lengths):
            raise ValueError(f"{len(self.bucket_keys)} bucket_keys for {len(self.lengths)} samples; give one for each")
        self._lengths = self.lengths if isinstance(self.lengths, Kinds) else np.asarray(self.lengths)
        self._epoch = -1
        self._batches_of_epoch = np.empty((0, 0), dtype=np.int64)
        self._places_of_epoch = np.empty(0, dtype=np.int64)

    @property
    def global_batch_size(self) -> int:
        """Samples of one global batch."""
        return self.batch_size * self.num_ranks * self.accumulation

    @property
    def global_batches_per_epoch(self) -> int:
        """Global batches of an epoch.

        Raises:
            ValueError: there are too few samples for one.
        """
        if not self._num_batches:
            most = max(self._drawn_by_key, default=0)
            alike = "" if len(self._drawn_by_key) == 1 else f" of {len(self.lengths)} of different sizes or types"
            raise ValueError(
                f"too few samples: a step takes {self.global_batch_size} that may share a batch, and there are "
                f"{'at most ' * bool(alike)}{most}{alike}"
            )
        return self._num_batches

    @cached_property
    def _num_batches(self) -> int:
        if self._by_shard is not None:
            return self._by_shard.num_batches
        return sum(max(count // self.global_batch_size, self.repeats) for count in self._drawn_by_key)

    @property
    def fills_a_batch(self) -> bool:
        """Whether enough samples may share a batch for a global one."""
        return bool(self._num_batches)

    @property
    def num_too_few(self) -> int:
        """Samples whose key has too few for a global batch: no epoch sees them, or they fill one again (`repeats`)."""
        pairs = zip(self._counts_by_key, self._drawn_by_key, strict=True)
        return sum(count for count, drawn in pairs if drawn < self.global_batch_size)

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
        if self._by_shard is not None:
            return self._by_shard.batch(epoch, place, lengths=self._lengths if self.by_length else None)
        if epoch != self._epoch:
            self._batches_of_epoch = np.empty((0, 0), dtype=np.int64)  # let go before the next is made
            self._batches_of_epoch, self._places_of_epoch = self._shuffled(epoch)
            self._epoch = epoch
        return self._batches_of_epoch[self._places_of_epoch[place]]

    def slot(self, micro: int) -> int:
        """Return the place in the global batch of the first sample of this rank's micro-batch."""
        return (micro * self.num_ranks + self.rank) * self.batch_size

    @cached_property
    def _groups(self) -> Kinds[int]:
        """The number of each sample's key, from 0."""
        if self.bucket_keys is None:
            one = (
                self._lengths
                if isinstance(self._lengths, Kinds)
                else Kinds([0], np.zeros(len(self.lengths), np.uint16))
            )
            return one.given([0] * len(one.values))
        keys = self.bucket_keys if isinstance(self.bucket_keys, Kinds) else Kinds.of(self.bucket_keys)
        numbers: dict[Hashable, int] = {}
        return keys.given([numbers.setdefault(key, len(numbers)) for key in keys.values])

    @cached_property
    def _counts_by_key(self) -> list[int]:
        """How many samples there are of each key; by shards they are not listed, which takes seconds of ten million."""
        if self._by_shard is not None:
            return self._by_shard.counts.tolist()
        return [len(indices) for indices in self._by_key]

    @cached_property
    def _drawn_by_key(self) -> list[int]:
        """How many samples of each key an epoch sees, were there batches of all."""
        if self._by_shard is not None:
            return self._by_shard.drawn.tolist()
        return [num_drawn(indices, self.subsets) for indices in self._by_key]

    @cached_property
    def _by_shard(self) -> ShardOrder | None:
        if self.shard_starts is None:
            return None
        size, seed, subsets = self.global_batch_size, self.seed, self.subsets
        return ShardOrder(self.shard_starts, self._groups, size=size, seed=seed, subsets=subsets, repeats=self.repeats)

    @cached_property
    def _by_key(self) -> list[np.ndarray]:
        """The samples of each key, by the first of them, in 4 bytes each: their order is no other for that."""
        numbers = np.asarray(self._groups.values, dtype=np.uint32)
        if not numbers.any():
            return [np.arange(len(self.lengths), dtype=np.uint32)]
        groups = numbers.astype(np.uint16 if numbers.max() < 2**16 else np.uint32)[self._groups.which]
        found = [np.flatnonzero(groups == number).astype(np.uint32) for number in np.unique(groups)]
        return sorted(found, key=lambda indices: int(indices[0]))

    def _shuffled(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return global batches of the epoch, [global_batches_per_epoch, global_batch_size], and their order."""
        # The name of this random stream is part of every run's order: another one would change resumed runs.
        random = np.random.default_rng(seed_for(self.seed, epoch, stream="sampler"))
        groups = self._by_key
        if self.subsets:  # of its own stream: the order of what is drawn stays that of a set without subsets
            choosing = np.random.default_rng(seed_for(self.seed, epoch, stream="subsets"))
            groups = [draw(indices, self.subsets, choosing) for indices in groups]
        parts = [self._batches_of(indices, random) for indices in groups]
        batches = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return batches, random.permutation(len(batches))

    def _batches_of(self, indices: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return the global batches of the samples of one key, shuffled, then sorted by length within pools.

        `by_length` False leaves them shuffled.
        """
        size = self.global_batch_size
        shuffled = random.permutation(indices)
        if len(shuffled) < size and self.repeats:
            shuffled = np.resize(shuffled, size)
        shuffled = shuffled[: len(shuffled) // size * size]
        return by_length(shuffled, size, lengths=self._lengths if self.by_length else None)
