"""Samples that cannot be read: replaced by the next one, logged once, and too many of them stop the run."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from xllmx.data.visits import Visit
from xllmx.task import DrawingDataset, SizedDataset

_LOG = logging.getLogger(__name__)
_TRIES = 8
_FEWEST_DRAWN = 1000
"""Samples counted as drawn from the start, so that an early fault does not stop the run; a smaller set has its size."""


class BrokenSampleError(ValueError):
    """A sample that cannot be used, through no fault of the settings: another may take its place."""


@dataclass(frozen=True)
class Fault:
    """A sample that was replaced."""

    index: int
    """Its number in the data set."""
    reason: str
    """Why."""


@dataclass(frozen=True)
class Drawn:
    """A sample, or a batch of samples, as a loader's process gives it: with the broken samples that were replaced."""

    content: Any
    """The sample or the batch."""
    faults: tuple[Fault, ...]
    """Samples that could not be read."""
    count: int = 1
    """Samples drawn."""


class Replacing:
    """A data set in which the next readable sample takes the place of a broken one; gives `Drawn`."""

    def __init__(self, dataset: SizedDataset, *, stream: str) -> None:
        """`stream`: its name, for messages."""
        self._dataset = dataset
        self._stream = stream

    def __len__(self) -> int:
        return len(self._dataset)

    @property
    def draws(self) -> bool:
        """Whether samples are to be asked for by `Visit`."""
        return isinstance(self._dataset, DrawingDataset)

    def __getitem__(self, index: int | Visit) -> Drawn:
        """Return the sample, or the first readable one after it; ValueError where several in a row are broken."""
        read: Callable[[int], Any] = self._dataset.__getitem__
        if isinstance(index, Visit):
            assert isinstance(self._dataset, DrawingDataset)
            read, index = partial(self._dataset.drawn, seed=index.seed), index.index
        faults: list[Fault] = []
        for offset in range(min(_TRIES, len(self))):
            number = (index + offset) % len(self)
            try:
                return Drawn(read(number), tuple(faults))
            except (BrokenSampleError, OSError) as error:
                faults.append(Fault(number, " ".join(str(error).split()) or type(error).__name__))
        raise ValueError(
            f"{len(faults)} samples of stream {self._stream!r} in a row, from number {index} on, cannot be read; mend "
            f"its data, or leave the set out; the first: {faults[0].reason}"
        )


@dataclass(frozen=True)
class CollateDrawn:
    """A `collate` that makes one `Drawn` batch of drawn samples; picklable where the inner one is."""

    collate: Callable[[list[Any]], Any]

    def __call__(self, drawn: list[Drawn]) -> Drawn:
        """Return the batch, with the faults of all its samples."""
        faults = tuple(fault for one in drawn for fault in one.faults)
        return Drawn(self.collate([one.content for one in drawn]), faults, len(drawn))


class FaultCount:
    """How many samples of each stream were broken, in this process's draws."""

    def __init__(self, sizes: Mapping[str, int], max_share: float) -> None:
        """`sizes`: samples of each stream's data set; `max_share`: the share of drawn samples that may be broken."""
        self._max_share = max_share
        self._fewest = {name: min(size, _FEWEST_DRAWN) for name, size in sizes.items()}
        self._drawn = dict.fromkeys(sizes, 0)
        self._broken: dict[str, set[int]] = {name: set() for name in sizes}

    def note(self, stream: str, drawn: Drawn) -> Any:
        """Log each new fault, once; return what was drawn.

        Raises:
            ValueError: more than the share of the stream's samples are broken.
        """
        known = self._broken[stream]
        self._drawn[stream] += drawn.count
        for fault in drawn.faults:
            if fault.index not in known:
                known.add(fault.index)
                _LOG.warning("stream %s: sample %d is left out: %s", stream, fault.index, fault.reason)
        seen = max(self._drawn[stream], self._fewest[stream])
        if len(known) > self._max_share * seen:
            raise ValueError(
                f"{len(known)} of {seen} samples of stream {stream!r} cannot be read, more than trainer.max_broken="
                f"{self._max_share:g} of them: mend the data, leave the set out, or raise the share; the last: "
                f"{drawn.faults[-1].reason if drawn.faults else 'see the log'}"
            )
        return drawn.content

    def broken(self, stream: str) -> int:
        """Return how many of the stream's samples were broken."""
        return len(self._broken[stream])
