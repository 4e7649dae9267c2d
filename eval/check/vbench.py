"""VBench's and VBench-I2V's folder: `<prompt>-<k>.mp4`, flat, and nothing else."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from eval.check.findings import Findings, Problem
from eval.check.media import Expected, compare, probe_all, twins
from eval.check.official import VideoPrompt


def check_videos(
    folder: Path,
    prompts: Sequence[VideoPrompt],
    *,
    benchmark: str,
    expected: Expected | None = None,
    workers: int = 4,
) -> Findings:
    """What is wrong with a folder of videos made for these prompts.

    VBench takes the suffix of all videos from whatever the folder lists first and passes over what it does not find
    with a warning: any other file can empty the evaluation, and a missing video changes the score in silence.
    """
    wanted = {name: prompt for prompt in prompts for name in prompt.names}
    listed = sorted(path.name for path in folder.iterdir())
    there = [name for name in listed if name in wanted]
    media, unreadable = probe_all(folder, there, workers=workers)
    words, different = compare(media, expected or Expected())
    problems = _missing(prompts, set(there))
    problems += [_unexpected(name, wanted) for name in listed if name not in wanted]
    problems += [*unreadable, *different]
    bad = {problem.path for problem in problems}
    return Findings(
        benchmark=benchmark,
        folder=str(folder),
        num_expected=len(wanted),
        num_good=sum(name not in bad for name in media),
        media=words,
        problems=problems,
        remarks=twins(media, [prompt.names for prompt in prompts]),
    )


def _missing(prompts: Sequence[VideoPrompt], there: set[str]) -> list[Problem]:
    """The videos that are not there; one line for a prompt that has none."""
    problems = []
    for prompt in prompts:
        names = [name for name in prompt.names if name not in there]
        if len(names) == prompt.copies:
            name = f"{prompt.text}-*.mp4"
            problems.append(Problem(what="missing", path=name, detail=f"all {prompt.copies} of the prompt"))
        else:
            problems += [Problem(what="missing", path=name) for name in names]
    return problems


def _unexpected(name: str, wanted: dict[str, VideoPrompt]) -> Problem:
    detail = "the scorer wants nothing but videos of the prompts here"
    if unicodedata.normalize("NFC", name) in {unicodedata.normalize("NFC", other) for other in wanted}:
        detail = "a prompt's name in another Unicode form: the scorer will not find it; rename it"
    elif name.casefold() in {other.casefold() for other in wanted}:
        detail = "a prompt's name but for capitals: the scorer will not find it"
    return Problem(what="unexpected", path=name, detail=detail)
