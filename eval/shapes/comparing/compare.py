"""Evaluations of several models side by side: scores on the same prompts, and what a clip costs, as one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from eval.shapes.comparing.cost import Cost
from eval.shapes.prompts import ALL_KINDS
from xllmx.safe.json_text import read_object
from xllmx.settings.config import convert

_KIND_ROWS = {
    "t2v": "video of a text",
    "held_out": "video, combinations never trained on",
    "t2i": "image of a text",
    "i2v": "video of a text and its first frame",
    "plain": "video, plain words",
}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a folder of `run` says."""

    run: Mapping[str, Any]
    """What made it: model, number of prompts, seed."""
    reports: Mapping[str, Any]
    """Kind of prompts -> its report, as it was written."""
    cost: Cost | None
    """None: nobody measured."""


def compare(folders: Sequence[Path]) -> str:
    """A table in Markdown, a column an evaluation; "-" stands where a model was not asked.

    Args:
        folders: what `run` wrote, with the `cost.json` of `cost` in it where that was measured.

    Raises:
        ValueError: a folder that holds no evaluation, or evaluations of different prompts.
    """
    evaluations = [read_evaluation(folder) for folder in folders]
    for name in ("num", "seed"):
        if len({one.run.get(name) for one in evaluations}) > 1:
            said = ", ".join(f"{folder}: {one.run.get(name)}" for folder, one in zip(folders, evaluations, strict=True))
            raise ValueError(
                f"the evaluations differ in {name} ({said}), so their prompts do; make them with one --{name}"
            )
    return _table([f"`{Path(str(one.run['model'])).name}`" for one in evaluations], evaluations, more={})


def compare_table(evaluations: Mapping[str, Evaluation], *, more: Mapping[str, Sequence[str]]) -> str:
    """The same table of evaluations by name, and at its end rows of one's own."""
    return _table([f"`{name}`" for name in evaluations], list(evaluations.values()), more=more)


def read_evaluation(folder: Path) -> Evaluation:
    """What a folder of `run` says; ValueError for another one."""
    return Evaluation(run=_read(folder, "run.json"), reports=_read(folder, "report.json"), cost=_cost(folder))


def _table(names: Sequence[str], evaluations: Sequence[Evaluation], *, more: Mapping[str, Sequence[str]]) -> str:
    rows = [["", *names], ["---"] * (len(names) + 1)]
    rows += _scores([one.reports for one in evaluations])
    costs = [one.cost for one in evaluations]
    if any(costs):
        rows += _costs(costs)
    rows += [[name, *values] for name, values in more.items()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _scores(reports: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Rows of the overall score of each kind, under t2v of each tag, and of each motion."""
    rows = []
    for kind in ALL_KINDS:
        if any(kind in report for report in reports):
            rows.append([_KIND_ROWS[kind], *(_number(report.get(kind), "overall") for report in reports)])
    videos = [report.get("t2v") for report in reports]
    for part in ("tags", "motions"):
        names = dict.fromkeys(name for video in videos if video for name in video[part])
        for name in names:
            said = f"- {name}" if part == "tags" else f"- asked to {name}" if name != "still" else "- asked to stand"
            rows.append([said, *(_number((video or {}).get(part, {}).get(name), "accuracy") for video in videos)])
    return rows


def _costs(costs: Sequence[Cost | None]) -> list[list[str]]:
    shown = {
        "parameters of the network": lambda cost: f"{cost.num_parameters / 1e6:.1f} M",
        "all weights on disk": lambda cost: f"{cost.file_bytes / 1e6:.1f} MB",
        "frames of a clip": lambda cost: f"{cost.num_frames}",
        "passes of the network a clip": lambda cost: f"{cost.passes}",
        "GFLOP a clip": lambda cost: f"{cost.flops / 1e9:.0f}",
        "seconds a clip, alone": lambda cost: f"{cost.seconds:.2f}",
        "measured on": lambda cost: f"{cost.device}, {cost.threads} thread{'s' * (cost.threads != 1)}, {cost.dtype}",
        "memory at its highest": lambda cost: f"{cost.peak_bytes / 2**20:.0f} MiB",
    }
    return [[name, *("-" if cost is None else say(cost) for cost in costs)] for name, say in shown.items()]


def _number(scores: Mapping[str, float] | None, name: str) -> str:
    return "-" if scores is None else f"{scores[name]:.3f}"


def _read(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.is_file():
        raise ValueError(f"{folder} holds no {name}: give the --out of lumos evaluate shapes run")
    return read_object(path, remedy="make the evaluation again")


def _cost(folder: Path) -> Cost | None:
    path = folder / "cost.json"
    if not path.is_file():
        return None
    content = read_object(path, remedy="measure again: lumos evaluate shapes cost")
    known = {field.name for field in fields(Cost)}
    return convert(Cost, {name: value for name, value in content.items() if name in known}, str(path))
