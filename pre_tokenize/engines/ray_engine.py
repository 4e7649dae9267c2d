"""Shards made by actors of Ray: decoded on CPUs, encoded on GPUs where there are any; rows are handed out one by one.

    this process                    hands out stretches of rows, and writes the shards into its ledger
        encoder (num_gpus=1)        two stretches at a time, so that one is decoded while the other is encoded
            decoder (num_cpus=1)    an item at a time
            decoder

Only this process writes: a machine that was cut off and comes back, or an actor that outlives a killed run, has nothing
to write to. What a shard holds depends on its rows alone, so it is the same as one made without Ray.
"""

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pre_tokenize.engines.engine import LostShard, Maker, Making
from pre_tokenize.engines.pace import Pace
from pre_tokenize.engines.ray_actors import ShardMaker
from pre_tokenize.products.encode import MadeShard
from xllmx.ranks.actor_pool import ActorPool, Crew, Lost
from xllmx.ranks.ray_cluster import connected, counts_in, device_in


class RayEngine:
    """Actors of Ray, as many as its cluster has room for now."""

    def __init__(self, *, address: str | None = None) -> None:
        """Take the address of a cluster, as `xllmx.ranks.ray_cluster.connected` does."""
        self._address = address

    @contextmanager
    def ready(self, making: Making) -> Iterator[Maker]:
        """A context with a connection to Ray.

        Raises:
            SettingError: nobody answers at the address, or the cluster has no such device.
            ValueError: the cluster has too few CPUs.
        """
        with connected(self._address) as ray:
            device = device_in(ray, making.limits.device)
            team = Team(ray, num_workers=making.limits.num_workers, on_gpus=device == "cuda")
            yield partial(_make_there, ActorPool(ray, _crew(ray, making, team, device=device)), team)


def _make_there(
    pool: ActorPool[range], team: "Team", shards: Sequence[range], *, pace: Pace, on_rows: Callable[[int], object]
) -> Generator[MadeShard | LostShard, None, None]:
    with closing(pool.hand_out(shards)) as outcomes:
        for rows, outcome in outcomes:
            pace.networks = max(pace.networks, team.num_encoders)
            if isinstance(outcome, Lost):
                yield LostShard(rows=rows, why=outcome.why)
                continue
            pace.clips += outcome.clips
            pace.network_s += outcome.network_s
            on_rows(len(rows))
            yield outcome.made


class Team:
    """How many encoders a cluster has room for now, each with its decoders."""

    def __init__(self, ray: Any, *, num_workers: int, on_gpus: bool) -> None:
        """Look at the cluster. Raises `ValueError` where there is not one CPU for each kind of work."""
        self._ray, self._most, self._on_gpus = ray, num_workers, on_gpus
        self.num_encoders = self.num_decoders = 0
        cpus, _ = counts_in(ray)
        if cpus < (least := 1 if on_gpus else 2):
            rest = "one to decode" if on_gpus else "one to decode and one to encode"
            raise ValueError(f"Ray's cluster has {cpus} CPUs; it needs at least {least}, {rest}")
        self.look()

    def look(self) -> int:
        """The number of encoders; that of the decoders of each is set, too. Of a cluster without room, 0 and as before.

        An encoder has a GPU and no CPU, or a CPU: 8 GPUs and 64 CPUs make 8 encoders of `num_workers` decoders each, 8
        at most; 9 CPUs alone make 3 encoders of 2 decoders each, where so many are wanted.
        """
        cpus, gpus = counts_in(self._ray)
        if self._on_gpus:
            self.num_encoders = min(gpus, cpus)
            left = cpus
        else:
            self.num_encoders = max(cpus // (1 + self._most), min(cpus // 2, 1))
            left = cpus - self.num_encoders
        if self.num_encoders:  # else an encoder that is at work still goes on with those it has
            self.num_decoders = min(self._most, left // self.num_encoders)
        return self.num_encoders


def _crew(ray: Any, making: Making, team: Team, *, device: str) -> Crew[range]:
    table = making.table
    shipped = replace(making, table=replace(table, items=()), limits=replace(making.limits, device=device))
    room = {"num_gpus": 1, "num_cpus": 0} if device == "cuda" else {"num_cpus": 1}
    kind, reference = ray.remote(**room, max_restarts=0, max_concurrency=2)(ShardMaker), ray.put(shipped)
    return Crew(
        what="encoder",
        start=partial(kind.remote, reference, folder=Path.cwd()),
        ask=lambda actor, rows: actor.make.remote([table.items[row] for row in rows], team.num_decoders),
        size=team.look,
        say=lambda what: tqdm.write(f"pre_tokenize: {what}", file=sys.stderr),
        at_once=2,
    )
