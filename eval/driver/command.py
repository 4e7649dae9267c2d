"""The command line that the drivers share.

torchrun --nproc-per-node 8 -m eval.geneval --model 1B/stage-2-joint num_inference_steps=50
python -m eval.geneval --part 2,4        the second of four parts, e.g. on the second of four machines
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.driver.beginning import bring_lists, needs_list, say_model
from eval.prompts.lists import PromptLists
from lumos.cli.jobs.workers import Worker, local_rank_of, part_here, remark_on_part, worker_of
from lumos.cli.options.engine import add_sampling_engine, check_sampling_engine
from lumos.cli.options.machines import add_machines, machines_of, refuse_machines
from lumos.cli.options.placement import add_loading, add_placement
from lumos.cli.options.spelling import said_as_options
from xllmx.ranks.slurm import as_array
from xllmx.run.exit_status import CHECK_FAILED, status_of
from xllmx.run.interrupt import loading
from xllmx.run.option_parser import OptionParser
from xllmx.safe.json_text import parse_json, unwritable
from xllmx.settings.number_range import COUNT, check_number

if TYPE_CHECKING:  # torch and all: only where outputs are made, so that --help answers at once
    from eval.driver.run import Done
    from eval.driver.work import Work
    from lumos.cli.jobs.outputs import OutputFolder
    from lumos.cli.jobs.pipeline import Settings, SettingsFor
    from lumos.cli.jobs.ray_jobs import RayJobs
    from lumos.cli.jobs.runner import Job, Recipe
    from lumos.cli.models.kind import Model

_FIRST_SPEAKS_S = 10
"""Seconds in which the first process of a machine says what is wrong before another one does."""


@dataclass(frozen=True, kw_only=True)
class Driver:
    """One benchmark on the command line."""

    name: str
    """As in `python -m eval.NAME`."""
    description: str
    """What --help begins with."""
    task: str
    """What is made: t2i, t2v or i2v."""
    num_outputs: int
    """Of a prompt, by the benchmark's own rule."""
    batch_size: int
    """Outputs that go through the model together if nothing is said."""
    work: Callable[[argparse.Namespace, "SettingsFor"], "Work"]
    """The work that options ask for, given the settings of the model."""
    lists: PromptLists
    """Brought where they are missing."""
    model: str
    """The one of the released command, used where it is here and none is named."""
    num_prompts: int
    """Of the official list."""
    num_scored: int
    """Outputs that the benchmark's scores are of."""
    add_options: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    """Adds what this benchmark alone has."""
    scoring: Callable[[], str] | None = None
    """What is to be known of its scorer before outputs are made for it."""


def drive(driver: Driver, arguments: Sequence[str] | None = None) -> int:
    """The exit status of a benchmark's driver (`xllmx.run.exit_status`)."""
    return answer(f"eval.{driver.name}", parser_of(driver), arguments, run=lambda options: _drive(driver, options))


def answer(
    program: str,
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
    *,
    run: Callable[[argparse.Namespace], int],
) -> int:
    """The exit status of a driver; of several processes of a machine the first one says what is wrong."""

    def command() -> int:
        try:
            options = parse(parser, arguments)
            with said_as_options(vars(options)):
                options.worker = _worker(program, options)
                _require_numbers(options)
                refuse_machines(options)
                check_sampling_engine(options, os.environ)
                return run(options)
        except (ValueError, OSError):
            if _is_second():  # the first one has the same to say, and ends us
                time.sleep(_FIRST_SPEAKS_S)
            raise

    return status_of(program, command, words=arguments, stopped="stopped; run the same command again to go on")


def aside(options: argparse.Namespace) -> AbstractContextManager[object]:
    """A context in which what is said goes to standard error where standard output is to hold a list alone."""
    return nullcontext() if options.outstanding is None else redirect_stdout(sys.stderr)


def _worker(program: str, options: argparse.Namespace) -> Worker:
    """This process's place; what Slurm said of it is said, once a job."""
    part = part_here(options.part, os.environ)
    worker = worker_of(part, os.environ)
    if (
        worker.index == part[0] - 1
        and options.outstanding is None
        and (said := remark_on_part(options.part, os.environ))
    ):
        print(f"{program}: {said}", flush=True)
    return worker


def _is_second() -> bool:
    """Whether another process of this machine has the same to say."""
    try:
        return local_rank_of(os.environ) > 0
    except ValueError:  # of variables of Slurm, which is what is going to be said
        return False


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of a command line, `settings` as a dict; its words may stand anywhere among the options."""
    options = parser.parse_intermixed_args(arguments)
    options.settings = dict(map(setting_of, options.settings))
    return options


def setting_of(word: str) -> tuple[str, Any]:
    """The name and value of a word `name=value`; ValueError if it is none."""
    name, equals, value = word.partition("=")
    if not equals:
        raise ValueError(f"{word!r} is no setting; write for example num_inference_steps=20")
    if fault := unwritable(value):
        raise ValueError(f"setting {name}: {fault}")
    try:
        return name, parse_json(value, "it")
    except ValueError:
        return name, value


def device_of(options: argparse.Namespace) -> str | None:
    """The device asked for, or the GPU of this process where there are any; None is the CPU."""
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    own = f"cuda:{options.worker.local_rank % gpus}" if gpus else None
    return options.device or own


def say(out: Path, settings: "Settings", *, num_outputs: int, num_prompts: int) -> None:
    """Prints what is going to be made."""
    values = settings.to_dict()
    frames = f", {settings.num_output_frames} frames" if settings.num_output_frames > 1 else ""
    steps = f", {values['num_inference_steps']} steps" if "num_inference_steps" in values else ""
    guidance = f", guidance {values['guidance_scale']:g}" if "guidance_scale" in values else ""
    size = f"{settings.width}x{settings.height}"
    print(f"{out}: {num_outputs} outputs of {num_prompts} prompts, {size}{frames}{steps}{guidance}", flush=True)


def model_of(options: argparse.Namespace, task: str, settings: Mapping[str, Any], *, device: str | None) -> "Model":
    """The model that makes what a task asks for; of a dry run a released one that is not here will do.

    Raises ValueError where it is not here, or not able.
    """
    from lumos.cli.models.door import find_model, refuse_how, refuse_settings, refuse_task

    where = {"device": device, "dtype": options.dtype}
    model = find_model(options.model, options.ckpts, **where, how=how_of(options), absent=options.dry_run)
    refuse_task(model, task)
    refuse_how(model, how_of(options))
    refuse_settings(model, settings)
    return model


def say_cost(
    options: argparse.Namespace, model: "Model", jobs: Sequence["Job"], *, folder: "OutputFolder", recipe: "Recipe"
) -> int:
    """Prints what of the list is missing, and what it would take; returns the exit status."""
    from lumos.cli.generation.estimate import estimate, report
    from lumos.cli.jobs.runner import plan_jobs

    replaced = options.overwrite or model.is_absent  # whose weights are not here to compare with
    plan = plan_jobs(jobs, folder, recipe, batch_size=options.batch_size, worker=options.worker, overwrite=replaced)
    print(report(estimate(model, plan, machines=machines_of(options))))
    return 0


def say_outstanding(
    options: argparse.Namespace, jobs: Sequence["Job"], *, folder: "OutputFolder", recipe: "Recipe"
) -> int:
    """Print which parts of the list are not finished, as `sbatch --array` takes them; return 1 where there are any."""
    from lumos.cli.jobs.runner import plan_jobs

    plan = plan_jobs(jobs, folder, recipe, batch_size=options.batch_size)
    lacking = [index for index, batch in enumerate(plan.batches) if any(one.seed is None for one in batch)]
    parts = sorted({index % options.outstanding + 1 for index in lacking})
    outputs = f"{len(plan.missing)} of {plan.num_listed} outputs are missing"
    if not parts:
        print(f"{options.out}: all {plan.num_listed} outputs are there", file=sys.stderr)
        return 0
    print(as_array(parts), flush=True)
    words = f"PARTS={options.outstanding} sbatch --array={as_array(parts)} exps/slurm/sample.sbatch"
    print(f"{options.out}: {outputs}; with Slurm: {words} and the words of before", file=sys.stderr)
    return CHECK_FAILED


def add_options(parser: argparse.ArgumentParser, *, batch_size: int) -> None:
    """Adds what every driver has: the model, its settings, which part of the list, how it is made."""
    add = parser.add_argument
    add("settings", nargs="*", metavar="name=value", help="of the pipeline: num_inference_steps=20")
    add("--model", help="name, hub id or folder (default: the released one if it is here, else the bundled one)")
    add("--batch-size", type=int, default=batch_size, help=f"outputs at a time (default: {batch_size})")
    add("--part", metavar="i,n", help="part i of n, from 1; i/n and [i,n] too (of Slurm's array, or the whole)")
    add("--outstanding", type=int, metavar="N", help="print which of N parts are not finished; make nothing")
    add("--overwrite", action="store_true", help="replace what was made otherwise")
    add("--dry-run", action="store_true", help="say what would be made and what it would take, or what is wrong")
    add_machines(parser, network=False)
    add("--device", help="cpu, cuda, cuda:1 (default: each process its GPU, or the CPU)")
    add("--dtype", help="bfloat16 or float32")
    add("--ckpts", type=Path, help="the folder of checkpoints")
    add("--offload", action="store_true", help="blocks stay in the host's memory until their turn; slow")
    add_sampling_engine(parser)
    add_placement(parser)
    add_loading(parser)


def parser_of(driver: Driver) -> argparse.ArgumentParser:
    """The parser of a benchmark's options."""
    parser = OptionParser(
        prog=f"eval.{driver.name}", description=driver.description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, default=Path("outputs") / driver.name, help="folder for the scorer")
    add("--prompts", type=Path, metavar="FILE", help="official list (default: in eval/prompts)")
    add("--long", type=Path, metavar="FILE", help="rewritten prompts (default: in eval/prompts)")
    add("--short", action="store_true", help="the model sees the official prompts themselves")
    add("--first", type=int, metavar="N", help="the first N prompts alone, for a trial")
    add("--samples", type=int, help=f"of every prompt, for a trial (default: {driver.num_outputs}, as scored)")
    add("--seed", type=int, default=0, help="base seed; an output's own follows from it")
    add_options(parser, batch_size=driver.batch_size)
    driver.add_options(parser)
    return parser


def how_of(options: argparse.Namespace) -> dict[str, Any]:
    """What the pipeline is loaded with beside device and dtype (`lumos.cli.models.door.find_model`)."""
    return {name: getattr(options, name) for name in ("offload", "device_map", "max_memory", "weights", "lora")}


def settings_of(options: argparse.Namespace, model: "Model") -> dict[str, Any]:
    """The settings asked for, over those of the model's faster sampling if that is asked for."""
    return {**(model.kind.fast_settings(model.files.defaults) if options.fast else {}), **options.settings}


def _drive(driver: Driver, options: argparse.Namespace) -> int:
    with aside(options):
        _begin(driver, options)
    with loading(f"eval.{driver.name}"):
        from lumos.cli.jobs.ray_jobs import ray_jobs

    with ray_jobs(options, program=f"eval.{driver.name}") as engine:
        return _drive_on(engine, driver, options)


def _drive_on(engine: "RayJobs | None", driver: Driver, options: argparse.Namespace) -> int:
    with loading(f"eval.{driver.name}"):
        import torch

        from eval.driver.folders import records_folder, require_folder_for
        from eval.driver.run import make, name_of, run
        from eval.driver.work import describe, num_prompts
        from lumos.cli.generation.room import check_room
        from lumos.cli.jobs.runner import plan_jobs

    worker: Worker = options.worker
    device = device_of(options)
    model = model_of(options, driver.task, options.settings, device=device)
    options.settings = settings_of(options, model)
    if options.dry_run and needs_list(options, driver.lists):
        return _cost_without_list(driver, options, model)
    work = driver.work(options, model.settings_for)
    recipe = model.recipe(work.settings)
    settings = recipe.settings_for(work.settings, image=None)
    if worker.local_rank == 0 and options.outstanding is None:
        for remark in work.remarks:
            print(f"eval.{driver.name}: note: {remark}", file=sys.stderr)
        say(options.out, settings, num_outputs=len(work.jobs), num_prompts=num_prompts(work.jobs))
    require_folder_for(work.folder, work.jobs, options.out)
    if options.outstanding is not None:
        return say_outstanding(options, work.jobs, folder=work.folder, recipe=recipe)
    if options.dry_run:
        return say_cost(options, model, work.jobs, folder=work.folder, recipe=recipe)
    if device in (None, "cpu"):  # sums in one order, however many workers share the machine
        torch.set_num_threads(1)
    how = {"batch_size": options.batch_size, "worker": worker, "overwrite": options.overwrite}
    plan = plan_jobs(work.jobs, work.folder, recipe, **how)
    check_room(model, plan)
    about = describe(work, recipe, settings, seed=options.seed)
    make_missing = partial(make, plan, model, worker, engine=engine)
    done = run(plan, make_missing, work=work, records=records_folder(options.out), about=about)
    print(f"{name_of(worker)}: {_said(done, is_new=options.overwrite)}")
    return status_after(engine)


def status_after(engine: "RayJobs | None") -> int:
    """The exit status once all outputs were made, or given up."""
    return CHECK_FAILED if engine is not None and engine.num_lost else 0


def _said(done: "Done", *, is_new: bool) -> str:
    """What was made, and what is left."""
    damaged = f" ({done.replaced} were damaged)" if done.replaced and not is_new else ""
    rest = f"; {done.unfinished} of other workers or parts are not there yet" if done.unfinished else ""
    return f"{done.made} made{damaged}, {done.before} finished before{rest}"


def _cost_without_list(driver: Driver, options: argparse.Namespace, model: "Model") -> int:
    """Prints what a benchmark would take whose list is not here; returns the exit status."""
    from eval.driver.stand_in import stand_in_jobs
    from lumos.cli.jobs.outputs import PlainFolder

    jobs = stand_in_jobs(driver, options)
    recipe = model.recipe({**options.settings, **({"num_frames": 1} if driver.task == "t2i" else {})})
    settings = recipe.settings_for(recipe.given, image=None)
    num_prompts = options.first or driver.num_prompts
    say(options.out, settings, num_outputs=len(jobs), num_prompts=num_prompts)
    return say_cost(options, model, jobs, folder=PlainFolder(options.out), recipe=recipe)


def _begin(driver: Driver, options: argparse.Namespace) -> None:
    """Say which model it is and who will score, and bring the lists: before anything is loaded."""
    program = f"eval.{driver.name}"
    say_model(options, driver.model, program=program)
    bring_lists(options, driver.lists, program=program)
    if driver.scoring is not None and options.worker.local_rank == 0:
        print(f"{program}: {driver.scoring()}", flush=True)


def _require_numbers(options: argparse.Namespace) -> None:
    for name in ("first", "samples", "batch_size", "outstanding"):
        value = getattr(options, name, None)
        if value is not None:
            check_number(name, int, value, COUNT)
