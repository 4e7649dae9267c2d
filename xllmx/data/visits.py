"""Samples with a seed for each time they are read, for data that are drawn while they are read: a window of a film."""

from collections.abc import Iterator
from dataclasses import dataclass

from xllmx.data.order import BatchOrder
from xllmx.rng import seed_for


@dataclass(frozen=True)
class Visit:
    """One reading of a sample."""

    index: int
    """Its number in the data set."""
    seed: int
    """What is drawn at this reading, a function of (seed, step, place in the global batch), follows from it."""


class Visits:
    """The batches of an order as visits: the same for a place of a global batch however that is cut into ranks."""

    def __init__(self, order: BatchOrder) -> None:
        """Go on from where the order stands."""
        self.order = order

    def __iter__(self) -> Iterator[list[Visit]]:
        """Yield the batches without end."""
        order, number = self.order, self.order.start
        while True:
            step, micro = divmod(number, order.accumulation)
            first = order.slot(micro)
            yield [
                Visit(index, seed_for(order.seed, step, rank=first + place, stream="visit"))
                for place, index in enumerate(order.batch(number))
            ]
            number += 1
