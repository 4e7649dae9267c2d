"""Jobs -> files by models on actors of Ray: a batch goes to whichever actor is free, and its files come back here.

    with ray_jobs(options, program="eval.geneval") as engine:       # None where Ray is not asked for
        with making(plan, model, program=program, engine=engine) as (progress, outputs): ...

    this process             hands out batches, writes what comes back into the folder, as `runner` does
        sampler (num_gpus=1)    a model, a batch at a time; one CPU each where the cluster has no GPU

A batch is the one that `runner` would make, so each output is the same, byte for byte. Only this process writes: an
actor that was cut off and comes back, or outlives a killed run, has nothing to write to, and no output is made twice.
"""

import argparse
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from lumos.cli.jobs.outputs import PlainFolder, staging_folder
from lumos.cli.jobs.ray_sampler import Loading, MadeFile, Sampler
from lumos.cli.jobs.record import code_version
from lumos.cli.jobs.runner import Made, Plan, Planned, all_placed, placed
from lumos.cli.models.kind import Model
from xllmx.disk.files import writing
from xllmx.ranks.actor_pool import ActorPool, Crew, Lost
from xllmx.ranks.ray_cluster import LOCAL, chosen_address, connected, counts_in, device_in


class RayJobs:
    """Makes what a plan misses, on a cluster of Ray, which it is connected to when that is first needed."""

    def __init__(self, options: argparse.Namespace, opened: ExitStack, *, program: str) -> None:
        """Take the options, what ends the connection, and who speaks."""
        self._options, self._opened, self._program = options, opened, program
        self._device: str = options.device or ""
        self.num_lost = 0
        """Outputs that were given up."""

    @cached_property
    def device(self) -> str:
        """`cuda` or `cpu`, where actors compute; a cluster that is not started here is asked.

        Raises:
            SettingError: nobody answers at its address.
        """
        if self._device:
            return self._device
        if chosen_address(self._options.ray_address) == LOCAL:
            return "cuda" if torch.cuda.is_available() else "cpu"
        return device_in(self._ray, "")

    def run(
        self,
        plan: Plan,
        model: Model,
        *,
        on_batch: Callable[[Sequence[Planned]], None],
        on_made: Callable[[Sequence[Planned]], None],
    ) -> Generator[Made, None, None]:
        """Yield what is missing of a plan, each output once it is in its place, as they come.

        `on_batch` is called with each batch that is given to an actor, and `on_made` with what is done, or given up.

        Raises:
            SettingError: nobody answers at the address, or the cluster has no such device.
            ValueError: before anything is made, for a prompt or settings that the model does not take.
        """
        begun = [number for number, batch in enumerate(plan.batches) if any(one.seed is None for one in batch)]
        if not begun:
            return
        pool = ActorPool(self._ray, self._crew(plan, model, on_batch=on_batch))
        with staging_folder(plan.folder.staging) as staging, closing(pool.hand_out(begun)) as outcomes:
            for number, outcome in outcomes:
                on_made(plan.batches[number])
                if isinstance(outcome, Lost):
                    self._tell_lost([one.job.name for one in plan.batches[number] if one.seed is None], outcome.why)
                    continue
                yield from all_placed(outcome, partial(_put, plan, staging=staging))

    @cached_property
    def _ray(self) -> Any:
        return self._opened.enter_context(connected(self._options.ray_address))

    def _crew(self, plan: Plan, model: Model, *, on_batch: Callable[[Sequence[Planned]], None]) -> Crew[int]:
        ray, on_gpus = self._ray, device_in(self._ray, self.device) == "cuda"
        room = {"num_gpus": 1, "num_cpus": 0} if on_gpus else {"num_cpus": 1}
        kind = ray.remote(**room, max_restarts=0)(Sampler)
        loading = Loading(
            name=model.files.name,
            ckpts=model.ckpts,
            device=self.device,
            dtype=plan.recipe.model["dtype"],
            how=model.how,
            deterministic=getattr(self._options, "deterministic", False),
            folder=Path.cwd(),
            code=code_version(),
        )
        shipped = ray.put(replace(plan, folder=PlainFolder(Path()))), ray.put(loading)  # nothing is written there

        def ask(actor: Any, number: int) -> Any:
            on_batch(plan.batches[number])
            return actor.make.remote(number)

        def size() -> int:
            room_for, most = counts_in(ray)[on_gpus], self._options.ray_actors
            return room_for if most is None else min(room_for, most)

        place = "GPU" if on_gpus else "CPU"
        self._say(f"batches go to samplers of Ray, one a {place}: there is room for {size()} now")
        return Crew(what="sampler", start=lambda: kind.remote(*shipped), ask=ask, size=size, say=self._say)

    def _tell_lost(self, names: Sequence[str], why: str) -> None:
        self.num_lost += len(names)
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
        self._say(f"warning: {shown} not made: {why}; the rest goes on, and the same command tries again")

    def _say(self, what: str) -> None:
        tqdm.write(f"{self._program}: {what}", file=sys.stderr)


@contextmanager
def ray_jobs(options: argparse.Namespace, *, program: str) -> Iterator[RayJobs | None]:
    """A context with what makes outputs on Ray, or None where it is not asked for, or nothing is to be made.

    The device and dtype in `options` become what planning needs, of what is only looked at too: records name the dtype
    of the actors, and no model is loaded here. What was opened is closed afterwards.

    Raises:
        SettingError: as `RayJobs.device`.
    """
    if options.engine != "ray":
        yield None
        return
    with ExitStack() as opened:
        engine = RayJobs(options, opened, program=program)
        if not options.dtype and engine.device == "cuda":
            options.dtype = "bfloat16"
        options.device = "cpu"
        only_looks = options.dry_run or getattr(options, "outstanding", None) is not None
        yield None if only_looks else engine


def _put(plan: Plan, file: MadeFile, *, staging: Path) -> Made:
    made = staging / f"made{Path(file.about.planned.job.name).suffix}"
    with writing(made):
        made.write_bytes(file.content)
    return placed(plan.folder, file.about, made, staging=staging)
