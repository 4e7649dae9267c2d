"""Batches from a dataset in a given order, and streams of them that take turns."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader

from xllmx.data.broken import Drawn, FaultCount
from xllmx.data.order import BatchOrder


def build_loader(
    dataset: Any, order: BatchOrder, *, collate: Callable[[list[Any]], Any], num_workers: int = 0
) -> DataLoader:
    """Return a loader without end whose first batch is number `order.start`.

    Args:
        dataset: map-style, picklable where there are workers.
        order: says which samples make each batch.
        collate: makes a batch of a list of samples; runs in the workers.
        num_workers: processes that read ahead; 0 reads in this one.
    """
    return DataLoader(
        dataset,
        batch_sampler=order,
        collate_fn=collate,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        prefetch_factor=4 if num_workers else None,
    )


@dataclass(frozen=True)
class StreamCycle:
    """Which stream each step draws from: {"image": 1, "video": 2} is image, video, video, image, video, video, ..."""

    counts: Mapping[str, int]

    def __post_init__(self) -> None:
        if not any(self.counts.values()) or min(self.counts.values()) < 0:
            raise ValueError(f"trainer.schedule is {dict(self.counts)}; it needs a stream with a count of at least 1")

    @property
    def names(self) -> list[str]:
        """The stream of each step of one cycle."""
        return [name for name, count in self.counts.items() for _ in range(count)]

    def at(self, step: int) -> str:
        """Return the stream of the step."""
        return self.names[step % len(self.names)]

    def draws(self, name: str, step: int) -> int:
        """Return how many of the first `step` steps draw from the stream."""
        names = self.names
        cycles, place = divmod(step, len(names))
        return cycles * self.counts[name] + names[:place].count(name)

    def steps_per_draw(self, name: str) -> float:
        """Return the mean number of steps between two that draw from the stream."""
        return len(self.names) / self.counts[name]


class CyclicLoader:
    """The batches of each step: `accumulation` of them, from the stream whose turn it is."""

    def __init__(
        self,
        loaders: Mapping[str, DataLoader],
        cycle: StreamCycle,
        *,
        step: int,
        accumulation: int,
        faults: FaultCount | None = None,
    ) -> None:
        """Start before `step`: the order of each loader is set to go on after the batches drawn by then.

        Loaders of `Drawn` batches have their broken samples counted in `faults`.
        """
        self._cycle, self._faults = cycle, faults
        self._accumulation = accumulation
        self._step = step
        self._batches: dict[str, Iterator[Any]] = {}
        for name, loader in loaders.items():
            order = loader.batch_sampler
            assert isinstance(order, BatchOrder)
            order.start = cycle.draws(name, step) * accumulation
            self._batches[name] = iter(loader)

    def __next__(self) -> tuple[str, list[Any]]:
        """Return the stream of the next step and its batches."""
        name = self._cycle.at(self._step)
        self._step += 1
        return name, [self._next_batch(name) for _ in range(self._accumulation)]

    def _next_batch(self, name: str) -> Any:
        batch = next(self._batches[name])
        return self._faults.note(name, batch) if self._faults and isinstance(batch, Drawn) else batch
