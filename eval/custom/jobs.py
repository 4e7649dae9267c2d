"""A list of one's own as jobs, and where their outputs go: NAME-0.mp4 and on, or images as GenEval lays them out."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.driver.work import Work
from eval.geneval.folder import PromptFolders
from eval.prompts.lists import BUNDLED, FOLDER
from lumos.cli.jobs.outputs import OutputFolder, PlainFolder
from lumos.cli.jobs.prompts import Prompt, read_prompts
from lumos.cli.jobs.runner import Job


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a list may ask for."""

    lists: tuple[str, ...]
    """Names under which eval/prompts may hold its list; the first that is there is taken, the last is bundled."""
    suffix: str
    """Of an output."""
    samples: int
    """Outputs of a prompt, as released."""


TASKS = {
    "t2i": Task(lists=("custom_t2i_prompts.jsonl", "custom_t2i.jsonl"), suffix="png", samples=4),
    "t2v": Task(lists=("custom_t2v_prompts.json", "custom_t2v.json"), suffix="mp4", samples=5),
    "i2v": Task(lists=("custom_i2v_prompts.json", "custom_i2v.json"), suffix="mp4", samples=5),
}


@dataclass(frozen=True, kw_only=True)
class Listed:
    """The whole list."""

    jobs: list[Job]
    folder: OutputFolder
    prompt_file: Path
    grouped: Work | None
    """The same as a benchmark's work, where the images of a prompt have a folder of their own."""


def listed(options: argparse.Namespace, out: Path) -> Listed:
    """The jobs of a list and their folder; ValueError for a list that is not one of the task.

    Of one output a prompt, or of videos, each is a file of `out` with its record beside it; several images of a prompt
    lie as GenEval wants them (`eval.geneval.folder`), with the list's own entry as their metadata.
    """
    path = options.prompts or list_of(options.task)
    prompts = read_prompts(path, images=options.images, short=options.short)[: options.first]
    _check_task(options.task, path, prompts)
    number = options.samples or TASKS[options.task].samples
    if options.task != "t2i" or number == 1:
        jobs = _jobs(options, prompts, number, [one.name for one in prompts])
        return Listed(jobs=jobs, folder=PlainFolder(out), prompt_file=path, grouped=None)
    names = [f"{index:05d}" for index in range(len(prompts))]
    metadata = {name: json.dumps(_metadata(one), ensure_ascii=False) for name, one in zip(names, prompts, strict=True)}
    folder = PromptFolders(out, metadata=metadata, num_images=number)
    jobs = _jobs(options, prompts, number, names)
    grouped = Work(jobs=jobs, folder=folder, prompt_file=path)
    return Listed(jobs=jobs, folder=folder, prompt_file=path, grouped=grouped)


def list_of(task: str) -> Path:
    """The list of a task in eval/prompts: one brought from the release, else the bundled one."""
    places = [folder / name for folder in (FOLDER, BUNDLED) for name in TASKS[task].lists]
    return next((place for place in places if place.is_file()), places[-1])


def _jobs(options: argparse.Namespace, prompts: Sequence[Prompt], number: int, names: Sequence[str]) -> list[Job]:
    suffix, first = TASKS[options.task].suffix, options.seed or 0
    return [
        Job(
            name=_name(name, copy, number, suffix),
            prompt=one.text,
            then=one.then,
            image=one.image,
            negative_prompt=one.negative,
            seed=first + index * number + copy if one.seed is None else one.seed + copy,
            notes={"official_prompt": one.official, "index": copy} if suffix == "png" and number > 1 else {},
        )
        for index, (one, name) in enumerate(zip(prompts, names, strict=True))
        for copy in range(number)
    ]


def _name(name: str, copy: int, number: int, suffix: str) -> str:
    if number == 1:
        return f"{name}.{suffix}"
    return f"{name}/{copy:05d}.png" if suffix == "png" else f"{name}-{copy}.{suffix}"


def _metadata(one: Prompt) -> dict[str, object]:
    return {**one.about, "prompt": one.official}


def _check_task(task: str, path: Path, prompts: Sequence[Prompt]) -> None:
    for one in prompts:
        if task == "i2v" and one.image is None:
            raise ValueError(f"{path}: {one.name!r} names no picture; i2v takes {{'image file': caption}}")
        if task != "i2v" and one.image is not None:
            raise ValueError(f"{path}: {one.image.name!r} is a picture; use the task i2v")
