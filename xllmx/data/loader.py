"""Batches from a dataset in a given order, and those of each step from the streams that give to it."""

import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader

from xllmx.data.broken import Drawn, FaultCount, Replacing
from xllmx.data.cycle import StreamCycle
from xllmx.data.order import BatchOrder
from xllmx.data.visits import Visits


@dataclass(frozen=True)
class Refused:
    """Stands for a sample or a batch that a worker cannot make, which is said where the batch is taken.

    An error that leaves a worker has its traceback in its text, and then no room for the remedy.
    """

    reason: str
    """What the ValueError said."""


@dataclass(frozen=True)
class _Refusing:
    """A function whose ValueErrors are returned, and which hands on what was refused before it; picklable."""

    make: Callable[[Any], Any]

    def __call__(self, given: Any) -> Any:
        refused = next((one for one in given if isinstance(one, Refused)), None) if isinstance(given, list) else None
        if refused is not None:
            return refused
        try:
            return self.make(given)
        except ValueError as error:
            return Refused(str(error))


@dataclass(frozen=True)
class _RefusingSet:
    """A data set whose ValueErrors are returned."""

    dataset: Any

    def __getitem__(self, index: Any) -> Any:
        return _Refusing(self.dataset.__getitem__)(index)


def build_loader(
    dataset: Any, order: BatchOrder, *, collate: Callable[[list[Any]], Any], num_workers: int = 0
) -> DataLoader:
    """Return a loader without end whose first batch is number `order.start`.

    Args:
        dataset: map-style, picklable where there are workers.
        order: says which samples make each batch.
        collate: makes a batch of a list of samples; runs in the workers.
        num_workers: processes that read ahead; 0 reads in this one. In place of what they cannot make (ValueError)
            they give a `Refused`.
    """
    draws = isinstance(dataset, Replacing) and dataset.draws
    if num_workers:
        dataset, collate = _RefusingSet(dataset), _Refusing(collate)
    return DataLoader(
        dataset,
        batch_sampler=Visits(order) if draws else order,
        collate_fn=collate,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        prefetch_factor=4 if num_workers else None,
        worker_init_fn=_keep_inherited,
    )


def _keep_inherited(_worker: int) -> None:
    """Leave to the parent what a worker has inherited of it: freeing a video there joins threads that a fork leaves."""
    gc.freeze()


Draw = tuple[str, list[Any]]
"""A stream and the batches that a step takes from it on this rank."""


class CyclicLoader:
    """The draws of each step: from every stream whose turn it is, as many batches as its step takes."""

    def __init__(
        self, loaders: Mapping[str, DataLoader], cycle: StreamCycle, *, step: int, faults: FaultCount | None = None
    ) -> None:
        """Start before `step`: the order of each loader is set to go on after the batches drawn by then.

        Loaders of `Drawn` batches have their broken samples counted in `faults`.
        """
        self._cycle, self._faults = cycle, faults
        self._step = step
        gc.collect()  # garbage that workers would inherit, and might free before they have begun
        self._accumulation: dict[str, int] = {}
        self._batches: dict[str, Iterator[Any]] = {}
        for name, loader in loaders.items():
            sampler = loader.batch_sampler
            order = sampler.order if isinstance(sampler, Visits) else sampler
            assert isinstance(order, BatchOrder)
            order.start = cycle.draws(name, step) * order.accumulation
            self._accumulation[name] = order.accumulation
            self._batches[name] = iter(loader)

    def __next__(self) -> list[Draw]:
        """Return the draws of the next step.

        Raises:
            ValueError: a batch cannot be made; in the words of who refused it, whichever process that was.
        """
        names = self._cycle.at(self._step)
        self._step += 1
        return [(name, [self._next_batch(name) for _ in range(self._accumulation[name])]) for name in names]

    def _next_batch(self, name: str) -> Any:
        batch = next(self._batches[name])
        if isinstance(batch, Refused):
            raise ValueError(batch.reason)
        return self._faults.note(name, batch) if self._faults and isinstance(batch, Drawn) else batch
