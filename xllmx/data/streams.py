"""The named data sets of a run: in what turns they are drawn from, in what batches, and how long an epoch is."""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch

from xllmx.data.broken import CollateDrawn, Drawn, FaultCount, Replacing
from xllmx.data.cycle import StreamCycle
from xllmx.data.loader import CyclicLoader, build_loader
from xllmx.data.order import BatchOrder
from xllmx.ranks.distributed import is_main, num_ranks, rank
from xllmx.rng import generator_at, seed_for
from xllmx.task import KeyedDataset, ShardedDataset, SizedDataset, SubsetDataset

_LOG = logging.getLogger(__name__)

Shuffle = Literal["auto", "whole", "shards"]
"""Whether any sample of a set may follow any other, or a few of its files are gone through at a time."""
MOST_WHOLE = 2**20
"""Samples of the largest set that is shuffled whole, unless it is said."""


class Streams:
    """Data sets by name, each with its order on this rank."""

    def __init__(
        self,
        datasets: Mapping[str, SizedDataset],
        *,
        batch_size: Mapping[str, int],
        schedule: Mapping[str, int] | None = None,
        together: Mapping[str, int] | None = None,
        accumulation: Mapping[str, int] | None = None,
        seed: int = 0,
        shuffle: Shuffle = "auto",
    ) -> None:
        """Make the orders; nothing is read.

        Args:
            datasets: at least one.
            batch_size: samples of a batch on this rank by stream; `a/b` has that of `a`, one that is left out 1.
            schedule: how many steps in turn draw from each; None or empty is one for each.
            together: streams that give their batches to the same step, with their ratios, in place of turns.
            accumulation: batches of one step by stream; 1 for one that is left out.
            seed: with the name, seeds the order of each stream.
            shuffle: `whole`, `shards`, or `auto`: by shards where a set has more than `MOST_WHOLE` samples.

        Raises:
            ValueError: no data set, or a stream in the schedule or in `together` that is none of them.
        """
        if not datasets:
            raise ValueError("the task names no data set here; name one, or for evaluation set trainer.eval_every=0")
        for setting, named in (("schedule", schedule), ("together", together)):
            if unknown := sorted(set(named or {}) - set(datasets)):
                known = ", ".join(datasets)
                raise ValueError(f"trainer.{setting} names {unknown[0]!r}; the task's streams are {known}")
        self.datasets = datasets
        turns = schedule or dict.fromkeys(datasets, 1)
        self.cycle = StreamCycle.together(together) if together else StreamCycle.in_turns(turns)
        self._seeded_by_name = bool(together)
        self.orders = {
            name: BatchOrder(
                lengths=data.lengths,
                bucket_keys=data.bucket_keys if isinstance(data, KeyedDataset) else None,
                subsets=data.subsets if isinstance(data, SubsetDataset) else (),
                shard_starts=_shards_of(data, shuffle),
                batch_size=batch_size.get(name, batch_size.get(name.partition("/")[0], 1)),
                accumulation=(accumulation or {}).get(name, 1),
                seed=seed_for(seed, stream=name),
                rank=rank(),
                num_ranks=num_ranks(),
            )
            for name, data in datasets.items()
        }

    def check_counts(self, setting: Callable[[str], str]) -> None:
        """Warn, on the main rank, of samples of which there are too few of a kind to fill a global batch.

        `setting` names, for a stream, the setting that makes its global batch.

        Raises:
            ValueError: a stream that steps draw from has too few samples for one global batch.
        """
        for name in self.cycle.names:
            order = self.orders[name]
            remedy = f"give more data, or take a smaller global batch ({setting(name)})"
            try:
                order.global_batches_per_epoch  # noqa: B018 - an error where there is none
            except ValueError as error:
                raise ValueError(f"stream {name!r}: {error}; {remedy}") from error
            if order.num_too_few and is_main():
                what = "fill batches again and again" if order.repeats else "are in no batch"
                _LOG.warning(
                    "stream %s: %d of %d samples %s: of their size or type there are fewer than the %d of a step; %s",
                    name, order.num_too_few, len(order.lengths), what, order.global_batch_size, remedy,
                )  # fmt: skip

    def steps_per_epoch(self, name: str | None = None) -> float:
        """Return how many steps of the cycle pass over the stream once; None is the last of the schedule.

        Raises:
            ValueError: a stream the schedule does not draw from.
        """
        name = self.cycle.names[-1] if name is None else name
        if name not in self.cycle.names:
            raise ValueError(f"trainer.epoch_stream is {name!r}; the schedule has {', '.join(self.cycle.names)}")
        return self.orders[name].global_batches_per_epoch * self.cycle.steps_per_draw(name)

    def samples_at(self, step: int, name: str) -> list[list[list[int]]]:
        """Return the samples of the step (from 0) by rank and micro-batch: their numbers in the stream's data set."""
        order = self.orders[name]
        samples = order.global_batch(self.cycle.draws(name, step))
        return samples.reshape(order.accumulation, order.num_ranks, -1).swapaxes(0, 1).tolist()

    def generator(self, name: str, micro: int, *, seed: int, step: int) -> torch.Generator:
        """Return the generator of this rank's micro-batch of the stream at the step.

        Streams of one step draw by their names, so that they do not draw the same.
        """
        slot = self.orders[name].slot(micro)
        return generator_at(seed, step, slot=slot, stream=name if self._seeded_by_name else "")

    def first_batches(self, name: str, num: int, *, collate: Callable[[list[Any]], Any]) -> Iterator[Drawn]:
        """Yield this rank's first `num` batches of the stream, at most an epoch; broken samples are replaced."""
        data, order = Replacing(self.datasets[name], stream=name), self.orders[name]
        for number in range(min(num, order.batches_per_epoch)):
            yield CollateDrawn(collate)([data[index] for index in order.batch(number)])

    def loader(
        self, *, step: int, collate: Callable[[list[Any]], Any], num_workers: int, max_broken: float = 0.0
    ) -> CyclicLoader:
        """Return the batches of each step from `step` on, without end.

        Broken samples (`BrokenSampleError`, `OSError`) are replaced; more than the share `max_broken` of them is a
        ValueError.
        """
        drawn = CollateDrawn(collate)
        loaders = {
            name: build_loader(
                Replacing(self.datasets[name], stream=name),
                self.orders[name],
                collate=drawn,
                num_workers=num_workers,
            )
            for name in self.cycle.names
        }
        faults = FaultCount({name: len(self.datasets[name]) for name in loaders}, max_broken)
        return CyclicLoader(loaders, self.cycle, step=step, faults=faults)


def _shards_of(data: SizedDataset, shuffle: Shuffle) -> np.ndarray | None:
    """Return the first sample of each file of a set that is gone through by files; None of another."""
    by_shards = shuffle == "shards" or (shuffle == "auto" and len(data) > MOST_WHOLE)
    return data.shard_starts if by_shards and isinstance(data, ShardedDataset) else None
