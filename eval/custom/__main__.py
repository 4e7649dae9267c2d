"""Images or videos for a list of prompts of one's own: `python -m eval.custom t2v --prompts FILE --out FOLDER`.

Finished outputs are skipped, so a list that was stopped goes on when the same command is given again. Output i of the
list has seed `--seed` + i, whatever the parts and processes; with --samples N every prompt has N outputs, NAME-0.mp4
and on. The record of each lies beside it.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eval.driver.command import add_options, answer, device_of
from eval.driver.command import parse as parse_options
from eval.prompts.lists import FOLDER
from lumos.cli.interrupt import loading
from lumos.cli.jobs.prompts import Prompt, read_prompts
from lumos.cli.option import OptionParser

if TYPE_CHECKING:  # torch and all: only where outputs are made, so that --help answers at once
    from lumos.cli.jobs.runner import Job

TASKS = {"t2i": ("custom_t2i.jsonl", "png"), "t2v": ("custom_t2v.json", "mp4"), "i2v": ("custom_i2v.json", "mp4")}
"""Task -> prompt file in eval/prompts, format of the outputs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`lumos.cli.exit_status`)."""
    return answer("eval.custom", parser(), arguments, run=run)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of a command line; settings may stand anywhere among them."""
    return parse_options(parser(), arguments)


def run(options: argparse.Namespace) -> int:
    """Makes this process's share of the list; prints how many outputs that were."""
    with loading("eval.custom"):
        from eval.driver.run import make
        from lumos.cli.jobs.outputs import PlainFolder
        from lumos.cli.jobs.places import check_places
        from lumos.cli.jobs.runner import plan_jobs
        from lumos.cli.models.door import find_model, refuse_settings, refuse_task

    settings = {**options.settings, "num_frames": 1} if options.task == "t2i" else options.settings
    device, out = device_of(options), options.out or default_out(options.task)
    model = find_model(options.model, options.ckpts, device=device, dtype=options.dtype)
    refuse_task(model, options.task)
    refuse_settings(model, settings)
    how = {"batch_size": options.batch_size, "worker": options.worker, "overwrite": options.overwrite}
    jobs, folder = jobs_of(options), PlainFolder(out)
    check_places(jobs, folder, inputs={"--prompts": options.prompts})
    plan = plan_jobs(jobs, folder, model.recipe(settings), **how)
    if options.dry_run:
        print(f"{out}: {len(plan.missing)} to be made, {len(plan.finished)} finished before")
        return 0
    made = make(plan, lambda: model.load(plan.missing), options.worker)
    print(f"{out}: {len(made)} made, {len(plan.finished)} finished before")
    return 0


def jobs_of(options: argparse.Namespace) -> list["Job"]:
    """The jobs of the whole list; ValueError for a list that is not one of the task."""
    from lumos.cli.jobs.runner import Job

    name, suffix = TASKS[options.task]
    path = options.prompts or FOLDER / name
    prompts = read_prompts(path, images=options.images)
    _check_task(options.task, path, prompts)
    first, number = options.seed or 0, options.samples
    return [
        Job(
            name=f"{one.name}-{copy}.{suffix}" if number > 1 else f"{one.name}.{suffix}",
            prompt=one.text,
            image=one.image,
            negative_prompt=one.negative,
            seed=first + index * number + copy if one.seed is None else one.seed + copy,
        )
        for index, one in enumerate(prompts)
        for copy in range(number)
    ]


def default_out(task: str) -> Path:
    """Where the outputs of a task go when nothing is said: outputs/custom_<task>."""
    return Path("outputs") / f"custom_{task}"


def parser() -> argparse.ArgumentParser:
    """The parser of its options."""
    parser = OptionParser(prog="eval.custom", description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="list (default: eval/prompts/custom_<task>)")
    parser.add_argument("--images", type=Path, help="folder of the pictures (default: beside the prompt file)")
    parser.add_argument("--out", type=Path, help="folder (default: outputs/custom_<task>)")
    parser.add_argument("--samples", type=int, default=1, metavar="N", help="outputs of every prompt (default: 1)")
    parser.add_argument("--seed", type=int, help="of the first output (default 0); the next ones count on")
    add_options(parser, batch_size=1)
    return parser


def _check_task(task: str, path: Path, prompts: Sequence[Prompt]) -> None:
    for one in prompts:
        if task == "i2v" and one.image is None:
            raise ValueError(f"{path}: {one.name!r} names no picture; i2v takes {{'image file': caption}}")
        if task != "i2v" and one.image is not None:
            raise ValueError(f"{path}: {one.image.name!r} is a picture; use the task i2v")


if __name__ == "__main__":
    sys.exit(main())
