"""The scores of VBench's and VBench-I2V's result files, what `evaluate.py` and `evaluate_i2v.py` write.

A run writes `NAME_eval_results.json`, {dimension: [score, ..., [one record a video]]}, and `NAME_full_info.json`, which
says what videos it found. A benchmark may be one run or many.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from eval.report.scores import Score, Scores
from eval.report.sheets import Picture, Sheet, first_of_each, strip
from eval.vbench.prompts import FLICKERING, VIDEOS_PER_PROMPT, VideoPrompt
from eval.vbench.totals import DIMENSIONS, totals_of
from xllmx.safe.json_text import read_json

RESULTS, FULL_INFO = "_eval_results.json", "_full_info.json"


def read_results(path: Path, benchmark: str) -> Scores:
    """The scores of all result files in a folder (or of the one given), and the totals if none is missing."""
    found: dict[str, tuple[Score, Path]] = {}
    for file in _files(path):
        for score in _scores(file, benchmark):
            other = found.get(score.name)
            if other is not None and other[0].value != score.value:
                raise ValueError(
                    f"{other[1]} and {file} have different scores of {score.name}: remove the one that is not meant"
                )
            found[score.name] = score, file
    official = DIMENSIONS[benchmark]
    parts = [found[name][0] if name in found else _absent(name) for name in official]
    extra = [score for name, (score, _) in found.items() if name not in official]
    missing = tuple(f"{part.name}: {part.problem}" for part in parts if part.problem)
    values = {part.name: part.value for part in parts if part.value is not None}
    unknown = [part.name for part in parts if part.value is not None and part.num is None]
    remarks = [f"{score.name} does not enter the total" for score in extra]
    if unknown:
        remarks.append(f"no {FULL_INFO} beside the results of {', '.join(unknown)}: how many videos is not known")
    return Scores(
        benchmark=benchmark,
        parts=(*parts, *extra),
        totals={} if missing else totals_of(benchmark, values),
        missing=missing,
        remarks=tuple(remarks),
    )


def video_sheets(folder: Path, prompts: Sequence[VideoPrompt], *, num: int) -> Iterator[Sheet]:
    """Yields the first video of about `num` prompts, the first of every dimension, as a strip of frames."""
    by_text = {prompt.text: prompt for prompt in prompts}
    pairs = [(dimension, prompt.text) for prompt in prompts for dimension in prompt.dimensions]
    shown: set[str] = set()
    for dimension, text in first_of_each(pairs, num):
        if text not in shown:
            shown.add(text)
            file = folder / by_text[text].names[0]
            yield Sheet(group=dimension, prompt=text, pictures=[Picture(file=file, jpeg=strip(file))])


def _files(path: Path) -> list[Path]:
    files = sorted(path.rglob(f"*{RESULTS}")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ValueError(f"{path} holds no *{RESULTS}: give the folder that VBench wrote to")
    return files


def _scores(file: Path, benchmark: str) -> Iterator[Score]:
    content = _json(file)
    if not isinstance(content, dict):
        raise ValueError(f"{file} is no result of VBench: it holds no {{dimension: [score, videos]}}")
    info_file = file.with_name(file.name.removesuffix(RESULTS) + FULL_INFO)
    info = _info(info_file) if file.name.endswith(RESULTS) and info_file.is_file() else None
    for name, result in content.items():
        value = result[0] if isinstance(result, list) and result else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{file}: the score of {name} is {value!r}, no number: score the dimension again")
        if not 0 <= value <= 1:
            raise ValueError(f"{file}: the score of {name} is {value}, not in [0, 1]: score it with VBench >= 0.1.5")
        if name not in DIMENSIONS[benchmark] and name != FLICKERING:
            raise ValueError(f"{file} has {name}, which is no dimension of {benchmark}: give that benchmark's results")
        yield _counted(name, float(value), benchmark=benchmark, info=info)


def _counted(name: str, value: float, *, benchmark: str, info: list[dict[str, Any]] | None) -> Score:
    """The score with the number of its videos; fewer than the benchmark's are a problem.

    Temporal flickering is scored on the static videos alone, however many there are.
    """
    dimension = DIMENSIONS[benchmark].get(name)
    if info is None or dimension is None:
        return Score(name=name, value=value)
    num = sum(len(record.get("video_list", [])) for record in info if name in record["dimension"])
    expected = VIDEOS_PER_PROMPT * dimension.prompts
    enough = 0 < num <= expected if name == FLICKERING else num == expected
    problem = "" if enough else f"{num} videos were scored, the dimension has {expected}"
    return Score(name=name, value=value, num=num, num_expected=expected, problem=problem)


def _info(file: Path) -> list[dict[str, Any]]:
    """The records of the videos that a run found; ValueError where they are none."""
    records = _json(file)
    for number, record in enumerate(records if isinstance(records, list) else [records]):
        whole = isinstance(record, dict) and isinstance(record.get("dimension"), list)
        if not isinstance(records, list) or not whole or not isinstance(record.get("video_list", []), list):
            raise ValueError(f"{file}: record {number} has no lists dimension and video_list; give what VBench wrote")
    return records


def _absent(name: str) -> Score:
    return Score(name=name, value=None, problem="not scored")


def _json(path: Path) -> Any:
    return read_json(path, remedy="give what VBench wrote")
