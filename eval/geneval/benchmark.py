"""GenEval as the commands for all benchmarks see it."""

from collections.abc import Iterator
from pathlib import Path

from eval.benchmark import Benchmark
from eval.check.findings import Findings
from eval.check.media import Expected
from eval.geneval.check import check_images
from eval.geneval.prompts import LISTS, read_metadata
from eval.geneval.report import image_sheets, read_results
from eval.report.scores import Scores
from eval.report.sheets import Sheet


def _check(folder: Path, prompts: Path, *, expected: Expected, workers: int) -> Findings:
    return check_images(folder, read_metadata(prompts), expected=expected, workers=workers)


def _read_scores(results: Path, prompts: Path | None) -> Scores:
    return read_results(results, read_metadata(prompts) if prompts else None)


def _sheets(folder: Path, prompts: Path, scores: Scores, *, num: int) -> Iterator[Sheet]:
    return image_sheets(folder, read_metadata(prompts), dict(scores.verdicts), num=num)


GENEVAL = Benchmark(
    lists=LISTS,
    title="GenEval",
    meaning="An image is correct if a detector finds what the prompt names: the objects, how many, their colours "
    "and how they stand. A tag's score is the fraction of its images that are correct; overall is the mean of tags.",
    check=_check,
    read_scores=_read_scores,
    sheets=_sheets,
    part="Tag",
    totals={"overall": "Overall"},
    per_cent=False,
)
