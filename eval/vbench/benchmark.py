"""VBench and VBench-I2V as the commands for all benchmarks see them."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from eval.benchmark import Benchmark
from eval.check.findings import Findings
from eval.check.media import Expected
from eval.report.scores import Scores
from eval.report.sheets import Sheet
from eval.vbench.check import check_videos
from eval.vbench.prompts import LISTS, read_videos
from eval.vbench.report import read_results, video_sheets


def _check(folder: Path, prompts: Path, *, expected: Expected, workers: int, benchmark: str) -> Findings:
    videos = read_videos(prompts, benchmark)
    return check_videos(folder, videos, benchmark=benchmark, expected=expected, workers=workers)


def _read_scores(results: Path, prompts: Path | None, *, benchmark: str) -> Scores:
    return read_results(results, benchmark)  # it says itself which videos it found


def _sheets(folder: Path, prompts: Path, scores: Scores, *, num: int, benchmark: str) -> Iterator[Sheet]:
    return video_sheets(folder, read_videos(prompts, benchmark), num=num)


_NOTE = "Dimensions are as the scorer gives them, in per cent; the totals are of normalised dimensions"

VBENCH = Benchmark(
    lists=LISTS["vbench"],
    title="VBench, text to video",
    meaning="Each dimension has its own prompts and its own judge. The quality and the semantic score are weighted "
    "means of normalised dimensions; the total counts quality four times.",
    check=partial(_check, benchmark="vbench"),
    read_scores=partial(_read_scores, benchmark="vbench"),
    sheets=partial(_sheets, benchmark="vbench"),
    part="Dimension",
    totals={"quality": "Quality score", "semantic": "Semantic score", "total": "Total score"},
    per_cent=True,
    note=_NOTE,
)

VBENCH_I2V = Benchmark(
    lists=LISTS["vbench_i2v"],
    title="VBench-I2V, image to video",
    meaning="Each dimension has its own prompts and its own judge. The I2V and the quality score are weighted "
    "means of normalised dimensions; the total is their mean.",
    check=partial(_check, benchmark="vbench_i2v"),
    read_scores=partial(_read_scores, benchmark="vbench_i2v"),
    sheets=partial(_sheets, benchmark="vbench_i2v"),
    part="Dimension",
    totals={"quality": "Quality score", "i2v": "I2V score", "total": "Total score"},
    per_cent=True,
    note=_NOTE,
)
