"""`lumos generate`: videos and images from prompts and pictures, by either model; what it would take (`--dry-run`)."""

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lumos.cli.generation.options import DEFAULT_GPU, add_options, refuse_options, settings_of, take_resolution
from lumos.cli.generation.request import (
    check_record_kept,
    check_weights,
    outputs_of,
    prompts_of,
    read_request,
    take_record,
)
from lumos.cli.interrupt import loading
from lumos.cli.models.door import find_model, kind_of_model
from lumos.cli.models.kind import Model

if TYPE_CHECKING:
    from lumos.cli.jobs.runner import Plan


def add_command(commands: Any) -> None:
    """Add the command to those of `lumos`."""
    command = commands.add_parser("generate", help="a video or an image from a prompt or a picture")
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
    kind = kind_of_model(options.model, options.ckpts)
    refuse_options(options, kind)
    prompts = prompts_of(options, kind)
    if options.hf_token:
        unused = "--hf-token is not used: nothing is downloaded here; for `lumos download`, run `hf auth login`"
        print(f"lumos: {unused}", file=sys.stderr)
    if options.gpu and not options.dry_run:
        raise ValueError("--gpu is of the --dry-run; a run takes --device")

    with loading("lumos"):  # from here on it takes PyTorch: what is at fault above is said at once
        from lumos.cli.jobs.outputs import PlainFolder
        from lumos.cli.jobs.places import check_places
        from lumos.cli.jobs.record import model_hash
        from lumos.cli.jobs.runner import Job, plan_jobs
        from xllmx.run.deterministic import use_deterministic_kernels

    if options.deterministic:
        use_deterministic_kernels()
    how = {name: getattr(options, name) for name in kind.how_options}
    model = find_model(options.model, options.ckpts, device=options.device, dtype=options.dtype, how=how)
    if record is not None:
        check_weights(record, model_hash(model.files), options)
    if options.fast:
        given = {name: value for name, value in settings.items() if value is not None}
        settings = {**kind.fast_settings(model.files.defaults), **given}
    recipe = model.recipe(settings)
    image = recipe.settings_for(settings, image=None).num_output_frames == 1
    outputs = outputs_of(options, prompts, image=image)
    jobs = [
        Job(name=output.name, prompt=one.text, image=one.image, negative_prompt=one.negative, seed=one.seed)
        for one, output in zip(prompts, outputs, strict=True)
    ]
    folder = PlainFolder(outputs[0].parent)
    check_places(jobs, folder, inputs={"--prompt-file": options.prompt_file, "--lora": options.lora})
    plan = plan_jobs(jobs, folder, recipe, batch_size=options.batch_size, overwrite=options.overwrite)
    if record is not None:
        check_record_kept(record, options.from_json, plan)
    return _estimate(model, plan, options) if options.dry_run else _make(model, plan, stream=options.stream)


def _make(model: Model, plan: "Plan", *, stream: bool) -> int:
    """Make what is missing, under a bar that knows how much that is."""
    from tqdm import tqdm

    from lumos.cli.generation.growing import told
    from lumos.cli.generation.room import check_room
    from lumos.cli.jobs.runner import run_jobs
    from lumos.cli.jobs.streaming import check_streamable, stream_jobs

    if stream:
        check_streamable(plan)
    check_room(model, plan)
    for one in plan.finished:
        print(f"{one.output}  seed {one.seed}  finished before; --seed or --out makes another")
    begun = [one for batch in plan.batches for one in batch if any(other.seed is None for other in batch)]
    total = sum(map(model.kind.num_units, begun))
    with tqdm(desc=f"{model.kind.unit}s", total=total, leave=False, disable=None if plan.missing else True) as bar:
        how: dict[str, Any] = {"load": lambda: model.load(plan.missing), "on_frame": _counting(bar.update)}
        made = stream_jobs(plan, **how, on_begin=told(bar.write)) if stream else run_jobs(plan, **how)
        for one in made:
            bar.write(f"{one.output}  seed {one.seed}  {one.seconds:.1f} s")
    return 0


def _counting(update: Callable[[int], Any]) -> Callable[..., None]:
    """Return what a pipeline calls back: with the index of what is done, and a tensor of one row a clip."""

    def on_frame(index: int, clips: Any) -> None:
        update(len(clips))

    return on_frame


def _estimate(model: Model, plan: "Plan", options: argparse.Namespace) -> int:
    """Print what the missing outputs would take."""
    from lumos.cli.generation.estimate import estimate, report

    print(report(estimate(model, plan, gpu=options.gpu or DEFAULT_GPU)))
    return 0
