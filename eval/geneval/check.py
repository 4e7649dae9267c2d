"""GenEval's folder: `00012/{samples/00000.png ... 00003.png, grid.png, metadata.jsonl}` for every prompt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.check.findings import Findings, Problem
from eval.check.media import Expected, compare, probe_all, twins
from eval.geneval.prompts import IMAGES_PER_PROMPT
from xllmx.safe.json_text import read_json


def check_images(
    folder: Path, records: Sequence[dict[str, Any]], *, expected: Expected | None = None, workers: int = 4
) -> Findings:
    """What is wrong with a folder of GenEval images made for these metadata records.

    GenEval's scorer reads every folder whose name is a number and every png in its `samples`, so that one too many
    changes the scores as silently as one too few. It takes what to look for from the `metadata.jsonl` beside the
    images: that must be the official record.
    """
    names = [
        [f"{index:05d}/samples/{copy:05d}.png" for copy in range(IMAGES_PER_PROMPT)] for index in range(len(records))
    ]
    problems = [
        problem for index, record in enumerate(records) for problem in _prompt_problems(folder, index, record=record)
    ]
    wanted = [name for group in names for name in group]
    there = [name for name in wanted if (folder / name).is_file()]
    media, unreadable = probe_all(folder, there, workers=workers)
    grids = [f"{index:05d}/grid.png" for index in range(len(records))]
    _, unreadable_grids = probe_all(folder, [name for name in grids if (folder / name).is_file()], workers=workers)
    words, different = compare(media, expected or Expected())
    problems += [*unreadable, *unreadable_grids, *different, *_strangers(folder, len(records))]
    bad = {problem.path for problem in problems}
    return Findings(
        benchmark="geneval",
        folder=str(folder),
        num_expected=len(wanted),
        num_good=sum(name not in bad for name in media),
        media=words,
        problems=problems,
        remarks=twins(media, names),
    )


def _prompt_problems(folder: Path, index: int, *, record: dict[str, Any]) -> list[Problem]:
    """What is missing of one prompt, what is too much, and whether its metadata is the official one."""
    name = f"{index:05d}"
    if not (folder / name).is_dir():
        return [Problem(what="missing", path=f"{name}/", detail=f"the whole prompt: {record['prompt']}")]
    wanted = [*(f"samples/{copy:05d}.png" for copy in range(IMAGES_PER_PROMPT)), "grid.png", "metadata.jsonl"]
    problems = [
        Problem(what="missing", path=f"{name}/{file}", detail=record["prompt"])
        for file in wanted
        if not (folder / name / file).is_file()
    ]
    samples = folder / name / "samples"
    for path in sorted(samples.iterdir()) if samples.is_dir() else []:
        if f"samples/{path.name}" not in wanted:
            problems.append(Problem(what="unexpected", path=f"{name}/samples/{path.name}"))
    if (folder / name / "metadata.jsonl").is_file():
        problems += _metadata_problems(folder, f"{name}/metadata.jsonl", record)
    return problems


def _metadata_problems(folder: Path, name: str, record: dict[str, Any]) -> list[Problem]:
    try:
        found = read_json(folder / name)  # as the scorer: one object in the whole file
    except ValueError as error:
        return [Problem(what="metadata", path=name, detail=f"is not one json object: {error}")]
    if found == record:
        return []
    if not isinstance(found, dict):
        return [Problem(what="metadata", path=name, detail=f"is a {type(found).__name__}, not an object")]
    lacks, more = sorted(record.keys() - found.keys()), sorted(found.keys() - record.keys())
    differs = sorted(key for key in record.keys() & found.keys() if record[key] != found[key])
    pairs = (("lacks", lacks), ("has besides", more), ("differs in", differs))
    return [Problem(what="metadata", path=name, detail="; ".join(f"{w} {', '.join(k)}" for w, k in pairs if k))]


def _strangers(folder: Path, num_prompts: int) -> list[Problem]:
    """Folders that the scorer would take for prompts."""
    ours = {f"{index:05d}" for index in range(num_prompts)}
    strangers = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name.isdigit())
    detail = "the scorer would count it as one more prompt"
    return [Problem(what="unexpected", path=f"{name}/", detail=detail) for name in strangers if name not in ours]
