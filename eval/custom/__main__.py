"""Generation for a list of prompts, one process of it: `python -m eval.custom t2v --part 1,2 --model 1B/stage-2-joint`.

The list is cut into parts, one a process (eval/launch.sh starts one per GPU). Finished outputs are skipped, so a list
that was stopped goes on when the same command is given again. Sample i of the list has seed `--seed` + i, whatever the
parts.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from eval.prompts.lists import FOLDER
from lumos.cli.exit_status import STOPPED, USER_ERROR, terminating
from lumos.cli.interrupt import loading
from lumos.cli.option import said_as_options
from lumos.cli.prompts import Prompt, read_prompts
from lumos.hub.models import DEFAULT_MODEL, resolve

if TYPE_CHECKING:  # torch and all: only where outputs are made, so that --help answers at once
    from lumos.cli.outputs import Job, Made

TASKS = {"t2i": ("custom_t2i.jsonl", "png"), "t2v": ("custom_t2v.json", "mp4"), "i2v": ("custom_i2v.json", "mp4")}
"""Task -> prompt file in eval/prompts, format of the outputs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 2 after one line that says what to mend, 130 after Ctrl-C."""
    try:
        options = parse(arguments)
        with terminating(), said_as_options(vars(options)):
            made = list(run(options))
    except KeyboardInterrupt:
        print("eval.custom: stopped; run the same command again to go on", file=sys.stderr)
        return STOPPED
    except (ValueError, OSError) as error:
        print(f"eval.custom: error: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR
    new = sum(one.new for one in made)
    print(f"{options.out or default_out(options.task)}: {new} made, {len(made) - new} finished before")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of a command line; settings may stand anywhere among them."""
    return _parser().parse_intermixed_args(arguments)


def run(options: argparse.Namespace) -> Iterator["Made"]:
    """Yields the outputs of this process's part as they are there."""
    with loading("eval.custom"):
        from lumos.cli.outputs import make_outputs
        from lumos.lumos1.pipeline import LumosPipeline
        from lumos.lumos1.sampling.settings import resolve_settings

    jobs, settings = jobs_of(options), dict(map(setting, options.settings))
    if options.task == "t2i":
        settings["num_frames"] = 1
    resolve_settings(resolve(options.model, options.ckpts).defaults, settings)  # before the weights are loaded
    pipeline = LumosPipeline.from_pretrained(options.model, options.device, options.dtype, ckpts=options.ckpts)
    with tqdm(total=len(jobs), desc=f"{options.task} {options.part[0]}/{options.part[1]}") as bar:
        for one in make_outputs(pipeline, jobs, settings, batch_size=options.batch_size, overwrite=options.overwrite):
            bar.update()
            yield one


def jobs_of(options: argparse.Namespace) -> list["Job"]:
    """The jobs of this process's part; ValueError for a list that is not one of the task."""
    from lumos.cli.outputs import Job

    name, suffix = TASKS[options.task]
    path = options.prompts or FOLDER / name
    prompts = read_prompts(path, images=options.images)
    _check_task(options.task, path, prompts)
    folder = options.out or default_out(options.task)
    jobs = [
        Job(
            prompt=one.text,
            output=folder / f"{one.name}.{suffix}",
            image=one.image,
            negative_prompt=one.negative,
            seed=(options.seed or 0) + index if one.seed is None else one.seed,
        )
        for index, one in enumerate(prompts)
    ]
    part, parts = options.part
    return jobs[part - 1 :: parts]


def default_out(task: str) -> Path:
    """Where the outputs of a task go when nothing is said: outputs/custom_<task>."""
    return Path("outputs") / f"custom_{task}"


def _check_task(task: str, path: Path, prompts: Sequence[Prompt]) -> None:
    for one in prompts:
        if task == "i2v" and one.image is None:
            raise ValueError(f"{path}: {one.name!r} names no picture; i2v takes {{'image file': caption}}")
        if task != "i2v" and one.image is not None:
            raise ValueError(f"{path}: {one.image.name!r} is a picture; use the task i2v")


def setting(word: str) -> tuple[str, Any]:
    """The name and value of a word `name=value`; ValueError if it is none."""
    name, equals, value = word.partition("=")
    if not equals:
        raise ValueError(f"{word!r} is no setting; write for example num_inference_steps=20")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _part(text: str) -> tuple[int, int]:
    try:
        part, parts = (int(number) for number in text.split(","))
    except ValueError:
        part, parts = 0, 0
    if not 1 <= part <= parts:
        raise argparse.ArgumentTypeError(f"{text!r} is no part; write i,n with 1 <= i <= n, for example 1,4")
    return part, parts


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="eval.custom", description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("settings", nargs="*", metavar="name=value", help="of the pipeline: num_inference_steps=20")
    parser.add_argument("--prompts", type=Path, help="prompt file (default: eval/prompts/custom_<task>)")
    parser.add_argument("--images", type=Path, help="folder of the pictures (default: beside the prompt file)")
    parser.add_argument("--out", type=Path, help="folder (default: outputs/custom_<task>)")
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="i,n", help="part i of n, from 1")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name, hub id or folder")
    parser.add_argument("--seed", type=int, help="of the first prompt (default 0); the next ones count on")
    parser.add_argument("--batch-size", type=int, default=1, help="prompts that go through the model together")
    parser.add_argument("--overwrite", action="store_true", help="replace what was made otherwise")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
    parser.add_argument("--dtype", help="bfloat16 or float32")
    parser.add_argument("--ckpts", type=Path, help="the folder of checkpoints")
    return parser


if __name__ == "__main__":
    sys.exit(main())
