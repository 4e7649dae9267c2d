"""Decode, crop and encode items, a shard at a time; `engine` says who does it.

What items are made into is a `Product`: codes of Lumos-1 (`codes`), latents of Lumina-Video (`latents`), motion scores
(`motion`). Nothing here knows which.
"""

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from lumos.media.media_error import MediaError
from lumos.media.reading import media_errors
from pre_tokenize.bookkeeping.ledger import Skip
from pre_tokenize.engines.pace import Pace
from pre_tokenize.lists.table import Item, Table
from pre_tokenize.products.decoded_again import DecodedAgain
from pre_tokenize.products.pixels import Decode, Pixels
from xllmx.settings.number_range import COUNT, Range, check_numbers
from xllmx.store.access import without_keys

EMPTY_CAPTION = "empty caption"


Made = Any
"""A clip, or what else a product makes of an item; or a `Skip`."""

Decoded = tuple[Item, Pixels | Skip]
"""An item and its pixels, or why it has none."""

_I = TypeVar("_I")
_O = TypeVar("_O")


class Reader(Protocol):
    """How items are read."""

    captioned: bool
    """Whether a row without a caption is skipped."""

    def read(self, path: Path) -> Pixels:
        """Decode and crop a file; called by several threads at once. Raises `MediaError` with the reason."""


class Product(Reader, Protocol):
    """What items are made into."""

    def network(self, batch: Sequence[Pixels]) -> Tensor:
        """Run the network on pixels of one shape; the result is on the CPU."""

    def made(self, batch: Sequence[tuple[Item, Pixels]], outputs: Tensor) -> Mapping[int, Made]:
        """By their rows, what is made of the items and of what the network gave for them; or a `Skip`."""

    @property
    def decode(self) -> Decode | None:
        """Gives the pixels back; None where what is made is no picture."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is held in memory at once."""

    shard_rows: Annotated[int, COUNT] = 64
    """Rows of a shard: the work that is lost when a process is killed."""
    batch_size: Annotated[int, Range(1, 10**6)] = 1
    """Clips of equal shape that go through the network together."""
    num_workers: Annotated[int, Range(1, 1024)] = 2
    """Threads that decode ahead."""
    num_decoded: Annotated[int, Range(0, 10**6)] = 0
    """Clips of each shard that are decoded again, to say how near they come to their sources."""
    device: str = "cpu"
    """Where the network runs; pixels are sent there as bytes."""

    def __post_init__(self) -> None:
        check_numbers(self, "--")

    @property
    def depth(self) -> int:
        """Items that are decoded ahead of the network."""
        return 2 * self.num_workers + self.batch_size


@dataclass(frozen=True, kw_only=True)
class MadeShard:
    """What was made of a stretch of rows."""

    rows: range
    clips: Sequence[Made]
    """In the order of their rows."""
    skipped: Sequence[Skip]
    """The rows that gave none."""
    psnr_db: Mapping[int, float]
    """Of the clips that were decoded again, by their places."""


class Encoder:
    """Turns decoded items into a product, a stretch of rows at a time; for several threads."""

    def __init__(self, product: Product, *, limits: Limits) -> None:
        self._product, self._limits = product, limits
        self._turn = threading.Lock()

    def shard(self, rows: range, decoded: Iterable[Decoded], *, pace: Pace, on_row: Callable[[], object]) -> MadeShard:
        """What the items of `rows`, in their order, are made into; `on_row` is called once a row.

        It depends on these items alone: whoever makes the shard, and after which one, it is the same.
        """
        sample = DecodedAgain(rows, num=self._limits.num_decoded, decode=self._product.decode)
        made = self._made(islice(decoded, len(rows)), sample, on_row=on_row, pace=pace)
        skipped = [outcome for outcome in made if isinstance(outcome, Skip)]
        clips = {row: one for row, one in zip(rows, made, strict=True) if not isinstance(one, Skip)}
        return MadeShard(rows=rows, clips=[*clips.values()], skipped=skipped, psnr_db=sample.by_place(list(clips)))

    def _made(
        self, decoded: Iterable[Decoded], sample: DecodedAgain, *, on_row: Callable[[], object], pace: Pace
    ) -> list[Made]:
        """What the items were made into, or their skips, in their order."""
        made: dict[int, Made] = {}
        waiting: dict[tuple[int, ...], list[tuple[Item, Pixels]]] = defaultdict(list)
        for item, outcome in decoded:
            on_row()
            if isinstance(outcome, Skip):
                made[item.row] = outcome
                continue
            sample.see(item.row)
            batch = waiting[outcome.frames.shape]
            batch.append((item, outcome))
            if len(batch) == self._limits.batch_size:
                made |= self._encode(waiting.pop(outcome.frames.shape), sample, pace)
        for batch in waiting.values():
            made |= self._encode(batch, sample, pace)
        return [made[row] for row in sorted(made)]

    def _encode(self, batch: list[tuple[Item, Pixels]], sample: DecodedAgain, pace: Pace) -> Mapping[int, Made]:
        with self._turn:  # a network takes one batch at a time
            with pace.network(len(batch)):
                outputs = self._product.network([pixels for _, pixels in batch])
            made = self._product.made(batch, outputs)
            with pace.network(0):
                for (item, pixels), output in zip(batch, outputs, strict=True):
                    if not isinstance(made[item.row], Skip):
                        sample.measure(item.row, pixels, output)
        return made


def read_items(table: Table, reader: Reader, rows: Iterable[int], *, num_workers: int) -> Iterator[Decoded]:
    """Yield items in order, each read or with its reason, as for a network that there is not."""
    pool = ThreadPoolExecutor(num_workers)
    try:
        yield from ahead(pool, partial(decode_item, table, reader), (table.items[row] for row in rows), 2 * num_workers)
    finally:  # after Ctrl-C what was found is said at once
        pool.shutdown(wait=False, cancel_futures=True)


def decode_item(table: Table, reader: Reader, item: Item) -> Decoded:
    """An item with its pixels, or with why it has none."""
    named = without_keys(item.path)
    if reader.captioned and not item.text:
        return item, Skip(row=item.row, path=named, reason=EMPTY_CAPTION)
    try:
        with media_errors(item.path), table.media(item) as file, media_errors(item.path):
            return item, reader.read(file)
    except MediaError as error:
        return item, Skip(row=item.row, path=named, reason=error.reason, detail=error.detail)


def on_device(clips: Sequence[np.ndarray], *, device: str) -> Tensor:
    """Pixels [B, 3, F, H, W] in [-1, 1] (x / 255 * 2 - 1), on the device, of uint8 clips [F, H, W, 3]."""
    stacked = torch.from_numpy(np.stack(clips))
    if device.startswith("cuda"):
        stacked = stacked.pin_memory().to(device, non_blocking=True)
    return rearrange(stacked, "B F H W C -> B C F H W").float().div_(255).mul_(2).sub_(1).contiguous()


def ahead(pool: ThreadPoolExecutor, work: Callable[[_I], _O], inputs: Iterable[_I], depth: int) -> Iterator[_O]:
    """Yield results of `work` in order, at most `depth` of them made ahead."""
    remaining = iter(inputs)
    pending: deque[Future[_O]] = deque(pool.submit(work, item) for item in islice(remaining, depth))
    while pending:
        result = pending.popleft().result()
        pending.extend(pool.submit(work, item) for item in islice(remaining, 1))
        yield result
