"""Images or videos for a list of prompts of one's own: `python -m eval.custom t2v --prompts FILE --out FOLDER`.

As released, every prompt has 5 videos, NAME-0.mp4 and on, or 4 images in a folder as GenEval has it, with their grid
and metadata; --samples 1 makes one file of each, NAME.mp4 or NAME.png. Finished outputs are skipped, so a list that was
stopped goes on when the same command is given again. Output i of the list has seed `--seed` + i, whatever the parts and
processes. The record of each lies beside it, of images in folders in OUT_records.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from eval.driver.beginning import CUSTOM_MODELS, say_model
from eval.driver.command import (
    add_options,
    answer,
    aside,
    device_of,
    model_of,
    say_cost,
    say_outstanding,
    settings_of,
    status_after,
)
from eval.driver.command import parse as parse_options
from xllmx.run.interrupt import loading
from xllmx.run.option_parser import OptionParser

if TYPE_CHECKING:  # torch and all: only where outputs are made, so that --help answers at once
    from eval.custom.jobs import Listed
    from lumos.cli.jobs.ray_jobs import RayJobs
    from lumos.cli.jobs.runner import Made, Plan, Recipe


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return answer("eval.custom", parser(), arguments, run=run)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of a command line; settings may stand anywhere among them."""
    return parse_options(parser(), arguments)


def run(options: argparse.Namespace) -> int:
    """Makes this process's share of the list; prints how many outputs that were."""
    with aside(options):
        say_model(options, CUSTOM_MODELS[options.task], program="eval.custom")
    with loading("eval.custom"):
        from lumos.cli.jobs.ray_jobs import ray_jobs

    with ray_jobs(options, program="eval.custom") as engine:
        return _run_on(engine, options)


def _run_on(engine: "RayJobs | None", options: argparse.Namespace) -> int:
    with loading("eval.custom"):
        from eval.custom.jobs import listed
        from eval.driver.run import make
        from lumos.cli.jobs.places import check_places
        from lumos.cli.jobs.runner import plan_jobs
        from lumos.media.inputs import choose_seeds

    if options.seed is not None:
        choose_seeds(1, seed=options.seed)
    device, out = device_of(options), options.out or default_out(options.task)
    model = model_of(options, options.task, options.settings, device=device)
    settings = {**settings_of(options, model), **({"num_frames": 1} if options.task == "t2i" else {})}
    how = {"batch_size": options.batch_size, "worker": options.worker, "overwrite": options.overwrite}
    whole, recipe = listed(options, out), model.recipe(settings)
    check_places(whole.jobs, whole.folder, inputs={"--prompts": options.prompts})
    if options.outstanding is not None:
        options.out = out
        return say_outstanding(options, whole.jobs, folder=whole.folder, recipe=recipe)
    if options.dry_run:
        print(f"{out}: {len(whole.jobs)} outputs")
        return say_cost(options, model, whole.jobs, folder=whole.folder, recipe=recipe)
    plan = plan_jobs(whole.jobs, whole.folder, recipe, **how)
    make_missing = partial(make, plan, model, options.worker, engine=engine)
    made, unfinished = _make(options, plan, make_missing, recipe=recipe, whole=whole, out=out)
    rest = f"; {unfinished} of other workers or parts are not there yet" if unfinished else ""
    print(f"{out}: {made} made, {len(plan.finished)} finished before{rest}")
    return status_after(engine)


def default_out(task: str) -> Path:
    """Where the outputs of a task go when nothing is said: outputs/custom_<task>."""
    return Path("outputs") / f"custom_{task}"


def parser() -> argparse.ArgumentParser:
    """The parser of its options."""
    parser = OptionParser(prog="eval.custom", description=__doc__)
    add = parser.add_argument
    add("task", choices=tuple(CUSTOM_MODELS))
    add("--prompts", type=Path, metavar="FILE", help="list (default: eval/prompts/custom_<task>)")
    add("--images", type=Path, help="folder of the pictures (default: beside the list, or ../custom_i2v_1_frame)")
    add("--short", action="store_true", help="the model sees the prompts themselves, not the list's rewritten ones")
    add("--first", type=int, metavar="N", help="the first N prompts alone, for a trial")
    add("--out", type=Path, help="folder (default: outputs/custom_<task>)")
    add("--samples", type=int, metavar="N", help="outputs of every prompt (default, as released: 5 videos, 4 images)")
    add("--seed", type=int, help="of the first output (default 0); the next ones count on")
    add_options(parser, batch_size=1)
    return parser


def _make(
    options: argparse.Namespace,
    plan: "Plan",
    make_missing: Callable[[], list["Made"]],
    *,
    recipe: "Recipe",
    whole: "Listed",
    out: Path,
) -> tuple[int, int]:
    """How many outputs were made, and how many of all workers are not in place yet."""
    from eval.driver.folders import records_folder
    from eval.driver.run import run
    from eval.driver.work import describe

    if whole.grouped is None:
        return len(make_missing()), 0
    settings = recipe.settings_for(recipe.given, image=None)
    about = describe(whole.grouped, recipe, settings, seed=options.seed or 0)
    done = run(plan, make_missing, work=whole.grouped, records=records_folder(out), about=about)
    return done.made, done.unfinished


if __name__ == "__main__":
    sys.exit(main())
