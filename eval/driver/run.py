"""One worker's share of a list: what is missing of it made, and a benchmark's folder finished."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.driver.work import Work
from lumos.cli.generation.world import remark
from lumos.cli.jobs.outputs import move, staging_folder
from lumos.cli.jobs.progress import making
from lumos.cli.jobs.ray_jobs import RayJobs
from lumos.cli.jobs.record import as_text
from lumos.cli.jobs.runner import Made, Plan
from lumos.cli.jobs.workers import Worker
from lumos.cli.models.kind import Model
from xllmx.disk.files import writing


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a worker did."""

    made: int
    """Outputs made now."""
    before: int
    """Outputs of its share that were there before."""
    replaced: int
    """Outputs made now in place of damaged ones, or of ones made otherwise."""
    unfinished: int
    """Outputs of all workers that are not in place yet."""


def make(plan: Plan, model: Model, worker: Worker, *, engine: RayJobs | None = None) -> list[Made]:
    """The outputs made now, here or by `engine`; one process of a machine says how far it is, if there is something."""
    if not plan.missing:
        return []
    if worker.local_rank == 0 and (told := remark(model, plan.missing)):
        print(f"{name_of(worker)}: {told}", file=sys.stderr, flush=True)
    with making(plan, model, program=name_of(worker), quiet=worker.local_rank > 0, engine=engine) as (_, outputs):
        return list(outputs)


def name_of(worker: Worker) -> str:
    """What a person calls a worker: `worker 2/8`."""
    return f"worker {worker.index + 1}/{worker.count}"


def run(
    plan: Plan, make_missing: Callable[[], list[Made]], *, work: Work, records: Path, about: Mapping[str, Any]
) -> Done:
    """What was done of a plan of a benchmark.

    Args:
        plan: of one worker.
        make_missing: `make`, of this plan.
        work: the benchmark's.
        records: the folder of its records.
        about: says in `run.json` what the folder is a run of.
    """
    with staging_folder(work.folder.staging) as staging:
        _write_about(about, records / "run.json", staging)
        made = make_missing()
        unfinished = work.folder.settle([job.name for job in work.jobs], staging)
    replaced = sum(one.replaced for one in made)
    return Done(made=len(made), before=len(plan.finished), replaced=replaced, unfinished=unfinished)


def _write_about(about: Mapping[str, Any], place: Path, staging: Path) -> None:
    """Writes what every worker would write."""
    text = as_text(about)
    if not place.is_file() or place.read_text(encoding="utf-8") != text:
        with writing(place):
            (staging / place.name).write_text(text, encoding="utf-8")
            move(staging / place.name, place)
