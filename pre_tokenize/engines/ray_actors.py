"""The actors of Ray: some decode items on CPUs, others make shards of what these decode.

Ray makes them from these classes (`pre_tokenize.engines.ray_engine`); nothing here imports it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any

import torch

from lumos.media.inputs import choose_device, pin
from pre_tokenize.engines.engine import Making
from pre_tokenize.engines.pace import Pace
from pre_tokenize.lists.table import Item, Table
from pre_tokenize.products.encode import Decoded, Encoder, MadeShard, Reader, ahead, decode_item
from xllmx.ranks.actor_pool import MOST_LOSSES, LostError, losses
from xllmx.ranks.ray_cluster import work_in
from xllmx.store.access import without_keys


@dataclass(frozen=True, kw_only=True)
class Shard:
    """What an encoder made, and how long its network took."""

    made: MadeShard
    clips: int
    network_s: float


class Decoder:
    """Decodes one item at a time."""

    def __init__(self, table: Table, reader: Callable[[], Reader], *, folder: Path) -> None:
        """Take the list without its items, and the folder from which paths count."""
        self._table, self._make_reader, self._folder = table, reader, folder

    def load(self) -> None:
        """Make the reader."""
        work_in(self._folder)
        torch.set_num_threads(1)
        self._reader = self._make_reader()

    def decode(self, item: Item) -> Decoded:
        """An item with its pixels, or with why it has none."""
        return decode_item(self._table, self._reader, item)


class ShardMaker:
    """Makes shards, with decoders of its own that end with it."""

    def __init__(self, making: Making, *, folder: Path) -> None:
        """Take what is made, the list without its items, and the folder from which paths count."""
        self._making, self._folder = making, folder

    def load(self) -> None:
        """Load the network."""
        work_in(self._folder)
        limits = self._making.limits
        device = pin(choose_device(limits.device))
        if device.type == "cpu":
            torch.set_num_threads(1)  # sums in one order, wherever the actor is
        self._limits = replace(limits, device=str(device))
        self._encoder = Encoder(self._making.job.load(self._limits), limits=self._limits)
        self._decoders = Decoders(self._start_decoder)

    def make(self, items: Sequence[Item], num_decoders: int) -> Shard:
        """Make the shard of these items, with so many decoders from now on.

        Raises:
            LostError: one item cost as many decoders as one may.
        """
        self._decoders.resize(num_decoders)
        pace, limits = Pace(), replace(self._limits, num_workers=num_decoders)
        with ThreadPoolExecutor(num_decoders) as pool:
            decoded = ahead(pool, self._decoders.decode, items, limits.depth)
            rows = range(items[0].row, items[-1].row + 1)
            made = self._encoder.shard(rows, decoded, pace=pace, on_row=lambda: None)
        return Shard(made=made, clips=pace.clips, network_s=pace.network_s)

    def _start_decoder(self) -> Any:
        making, ray = self._making, import_module("ray")
        actor = ray.remote(num_cpus=1, max_restarts=0)(Decoder)
        return actor.remote(making.table, making.job.reader, folder=self._folder)


class Decoders:
    """Actors that decode, as many as there is room for; each has one item at a time, so that a loss has one cause."""

    def __init__(self, start: Callable[[], Any]) -> None:
        self._ray: Any = import_module("ray")
        self._start = start
        self._free: SimpleQueue[Any] = SimpleQueue()
        self._number, self._resizing = 0, Lock()

    def resize(self, number: int) -> None:
        """Have so many from now on; those that are too many go when they are free."""
        with self._resizing:
            while self._number < number:
                self._number += 1
                Thread(target=self._add, daemon=True).start()  # it waits until there is room
            while self._number > number:
                try:
                    self._ray.kill(self._take(block=False))
                except Empty:
                    return
                self._number -= 1

    def decode(self, item: Item) -> Decoded:
        """An item with its pixels, or with why it has none.

        Raises:
            LostError: as many decoders as one may cost died over it.
        """
        for _ in range(MOST_LOSSES):
            actor = self._take()
            try:
                decoded: Decoded = self._ray.get(actor.decode.remote(item))
            except self._ray.exceptions.RayTaskError as error:
                self._free.put(actor)
                raise error.cause from None
            except losses(self._ray) as error:
                self._ray.kill(actor)
                Thread(target=self._add, daemon=True).start()
                why = " ".join(str(error).split())[:120]
                continue
            self._free.put(actor)
            return decoded
        named = without_keys(item.path)[:200]
        raise LostError(f"{MOST_LOSSES} decoders died over row {item.row} ({named}), the last one: {why}")

    def _take(self, *, block: bool = True) -> Any:
        found = self._free.get(block)
        if isinstance(found, BaseException):
            self._free.put(found)  # for the others, too
            raise found
        return found

    def _add(self) -> None:
        for _ in range(MOST_LOSSES):
            actor = self._start()
            try:
                self._ray.get(actor.load.remote())
            except self._ray.exceptions.RayTaskError as error:
                self._free.put(error.cause)
                return
            except losses(self._ray) as error:
                fault = ValueError(  # no row is at fault: with none that loads, all of them would be given up
                    f"{MOST_LOSSES} decoders died while they loaded ({' '.join(str(error).split())[:120]}); look at "
                    "their memory, and into Ray's logs (/tmp/ray/session_latest/logs)"
                )
                continue
            self._free.put(actor)
            return
        self._free.put(fault)
