"""`lumos generate`: videos and images from prompts and pictures, by either model; what it would take (`--dry-run`)."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lumos.cli.generation.options import add_options, refuse_options, settings_of, take_clip, take_resolution
from lumos.cli.generation.picture_address import fetched
from lumos.cli.generation.request import (
    check_picture,
    check_record_kept,
    check_weights,
    outputs_of,
    prompts_of,
    read_request,
    take_record,
)
from lumos.cli.models.door import find_model, kind_of_model
from lumos.cli.models.kind import Model, ModelKind
from lumos.cli.options.engine import check_sampling_engine
from lumos.cli.options.machines import machines_of, refuse_machines
from xllmx.run.exit_status import CHECK_FAILED
from xllmx.run.interrupt import loading

if TYPE_CHECKING:
    from lumos.cli.jobs.prompts import Prompt
    from lumos.cli.jobs.ray_jobs import RayJobs
    from lumos.cli.jobs.runner import Job, Plan, Recipe


def add_command(commands: Any) -> None:
    """Add the command to those of `lumos`."""
    command = commands.add_parser(
        "generate", help="a video or an image from a prompt or a picture", bare_words="--prompt"
    )
    add_options(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make what the prompts ask for; print path, seed and time of each output."""
    take_resolution(options)
    settings = settings_of(options)
    record = read_request(options.from_json) if options.from_json else None
    if record is not None:
        take_record(options, record)
        settings = {**record["settings"], **{name: value for name, value in settings.items() if value is not None}}
    kind = kind_of_model(options.model, options.ckpts, absent=options.dry_run)
    refuse_options(options, kind)
    take_clip(options)
    check_sampling_engine(options, os.environ)
    with fetched(options):
        return _run(options, kind, settings=settings, record=record)


def _run(
    options: argparse.Namespace, kind: ModelKind, *, settings: dict[str, Any], record: dict[str, Any] | None
) -> int:
    """Make what is asked for, every picture being a file now."""
    if record is not None:
        check_picture(options, record)
    prompts = prompts_of(options, kind)
    if options.hf_token:
        unused = "--hf-token is not used: nothing is downloaded here; for `lumos download`, run `hf auth login`"
        print(f"lumos: {unused}", file=sys.stderr)
    refuse_machines(options)

    with loading("lumos"):  # from here on it takes PyTorch: what is at fault above is said at once
        from lumos.cli.generation.world import remark
        from lumos.cli.jobs.ray_jobs import ray_jobs
        from xllmx.run.deterministic import use_deterministic_kernels

    if options.deterministic:
        use_deterministic_kernels()
    how = {name: getattr(options, name) for name in kind.how_options}
    with ray_jobs(options, program="lumos") as engine:
        where = {"device": options.device, "dtype": options.dtype}
        model = find_model(options.model, options.ckpts, **where, how=how, absent=options.dry_run)
        plan = _plan(options, model, prompts, settings=settings, record=record)
        if told := remark(model, plan.missing):
            print(f"lumos: {told}", file=sys.stderr, flush=True)
        if options.dry_run:
            return _estimate(model, plan, options)
        return _make(model, plan, stream=options.stream, engine=engine)


def _plan(
    options: argparse.Namespace,
    model: Model,
    prompts: Sequence["Prompt"],
    *,
    settings: dict[str, Any],
    record: dict[str, Any] | None,
) -> "Plan":
    """Return what is to be made of the prompts, and what of it is there."""
    from lumos.cli.jobs.outputs import PlainFolder
    from lumos.cli.jobs.places import check_places
    from lumos.cli.jobs.record import model_hash
    from lumos.cli.jobs.runner import plan_jobs

    if record is not None and not model.is_absent:
        check_weights(record, model_hash(model.files), options)
    recipe = _recipe(options, model, settings)
    image = recipe.settings_for(recipe.given, image=None).num_output_frames == 1
    outputs = outputs_of(options, prompts, image=image)
    jobs = [_job(one, output.name) for one, output in zip(prompts, outputs, strict=True)]
    folder = PlainFolder(outputs[0].parent)
    check_places(jobs, folder, inputs={"--prompt-file": options.prompt_file, "--lora": options.lora})
    replaced = options.overwrite or model.is_absent  # whose weights are not here to compare with
    plan = plan_jobs(jobs, folder, recipe, batch_size=options.batch_size, overwrite=replaced)
    if record is not None:
        check_record_kept(record, options.from_json, plan)
    return plan


def _job(prompt: "Prompt", name: str) -> "Job":
    from lumos.cli.jobs.runner import Job

    job = Job(name=name, prompt=prompt.text, then=prompt.then, image=prompt.image, seed=prompt.seed)
    return replace(job, negative_prompt=prompt.negative)


def _recipe(options: argparse.Namespace, model: Model, settings: Mapping[str, Any]) -> "Recipe":
    """Return how the outputs are made: with the model's own faster settings under those given, where asked for."""
    given = dict(settings)
    if options.fast:
        set_here = {name: value for name, value in settings.items() if value is not None}
        given = {**model.kind.fast_settings(model.files.defaults), **set_here}
    return replace(model.recipe(given), scale=1 if options.scale is None else options.scale)


def _make(model: Model, plan: "Plan", *, stream: bool, engine: "RayJobs | None") -> int:
    """Make what is missing, here or by `engine`, and say how far it is."""
    from tqdm import tqdm

    from lumos.cli.generation.growing import told
    from lumos.cli.generation.room import check_room
    from lumos.cli.jobs.progress import making
    from lumos.cli.jobs.streaming import check_streamable

    if stream:
        check_streamable(plan)
    check_room(model, plan)
    for one in plan.finished:
        print(f"{one.output}  seed {one.seed}  finished before; --seed or --out makes another")
    on_begin = told(tqdm.write) if stream else None
    with making(plan, model, program="lumos", on_begin=on_begin, engine=engine) as (progress, outputs):
        for one in outputs:
            each = f" each of {one.together} at once" if one.together > 1 else ""
            progress.say(f"{one.output}  seed {one.seed}  {one.seconds:.1f} s{each}")
    return CHECK_FAILED if engine is not None and engine.num_lost else 0


def _estimate(model: Model, plan: "Plan", options: argparse.Namespace) -> int:
    """Print what the missing outputs would take."""
    from lumos.cli.generation.estimate import estimate, report

    print(report(estimate(model, plan, machines=machines_of(options))))
    return 0
