"""Who makes shards: this process (`LocalEngine`), or actors of Ray (`pre_tokenize.engines.ray_engine`).

The ledger says which rows are missing and takes what comes; an engine is given stretches of rows and says what became
of each. It writes nothing, and keeps nothing that a later run needs.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Protocol

from lumos.media.shards.parquet_rows import RowForm
from pre_tokenize.bookkeeping.ledger import WriteShard
from pre_tokenize.engines.pace import Pace
from pre_tokenize.lists.table import Table
from pre_tokenize.products.encode import Encoder, Limits, MadeShard, Product, Reader, ahead, decode_item


@dataclass(frozen=True, kw_only=True)
class Job:
    """A kind of product, not loaded yet."""

    load: Callable[[Limits], Product]
    """Reads networks and tokenizers."""
    reader: Callable[[], Reader]
    """How items are read, while no network is."""
    write_shard: WriteShard
    """Writes what was made of a stretch of rows."""
    form: RowForm
    """Of the rows that are written."""
    settings: Mapping[str, Any]
    """What must be the same for all rows of an output, by the names of the options."""


@dataclass(frozen=True, kw_only=True)
class Making:
    """What is made of which list, and within which limits."""

    table: Table
    job: Job
    limits: Limits


@dataclass(frozen=True, kw_only=True)
class LostShard:
    """A stretch of rows that was given up."""

    rows: range
    why: str


class Maker(Protocol):
    """Makes shards, once all is loaded."""

    def __call__(
        self, shards: Sequence[range], *, pace: Pace, on_rows: Callable[[int], object]
    ) -> Generator[MadeShard | LostShard, None, None]:
        """Yield what became of each stretch of rows, as it comes; whatever was begun ends when this is closed.

        `on_rows` is told how many rows were done, and `pace` how long the network took.
        """


class Engine(Protocol):
    """Who makes shards."""

    def ready(self, making: Making) -> AbstractContextManager[Maker]:
        """A context with what makes shards; `ValueError` where something that it needs is not there."""


class LocalEngine:
    """This process: threads decode ahead of the network, from one shard into the next; shards come in their order."""

    @contextmanager
    def ready(self, making: Making) -> Iterator[Maker]:
        """A context with a product that is loaded."""
        yield partial(_make_here, making, making.job.load(making.limits))


def _make_here(
    making: Making, product: Product, shards: Sequence[range], *, pace: Pace, on_rows: Callable[[int], object]
) -> Generator[MadeShard, None, None]:
    table, limits = making.table, making.limits
    encoder, items = Encoder(product, limits=limits), (table.items[row] for row in chain(*shards))
    with ThreadPoolExecutor(limits.num_workers) as pool:
        decoded = ahead(pool, partial(decode_item, table, product), items, limits.depth)
        for rows in shards:
            yield encoder.shard(rows, decoded, pace=pace, on_row=partial(on_rows, 1))


def stretches_of(missing: Iterable[range], size: int) -> list[range]:
    """The rows that are missing, in shards of at most `size`: [[0, 5), [7, 9)] by 2: [0, 2) [2, 4) [4, 5) [7, 9)."""
    return [gap[start : start + size] for gap in missing for start in range(0, len(gap), size)]
