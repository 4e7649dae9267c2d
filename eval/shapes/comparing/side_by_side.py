"""Models side by side: the same prompts, each model as it samples by itself and fast, what comes of it, what it costs.

Every model and way has a folder, `OUT/MODEL/default` and `OUT/MODEL/fast`, of the layout of `run`. What is there stays,
so that a comparison that was stopped goes on; costs are measured once all clips are made.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from eval.marked_section import MarkedSection
from eval.shapes.comparing.alternating import Sampled, measure_alternately
from eval.shapes.comparing.compare import Evaluation, compare_table, read_evaluation
from eval.shapes.prompts import KINDS, TASK_OF_KIND
from eval.shapes.run import RunConfig, run, write_json
from lumos.cli.models.door import find_model

SEEN_IN_TRAINING: Mapping[str, str] = {
    "lumos-tiny": "271k clips, 514k images",
    "lumina-tiny": "2606k clips, 772k single latents, 1794k images",
}
"""Bundled model -> what its network was shown, repetitions counted: steps times batches (`exps/*_tiny.sh`).

Of different ones lumos-tiny had 72,000 clips and 50,000 images, lumina-tiny 60,500 and 70,000 (its script, which goes
a straighter way, makes 43,000 and 40,000)."""

SECTION = MarkedSection(begin="<!-- side by side: written by the command -->", end="<!-- end of side by side -->")
"""The place of table and pictures in a file of Markdown."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """A model, and whether it samples with its own faster settings."""

    model: str
    fast: bool

    @property
    def name(self) -> str:
        """For people."""
        return Path(self.model).name + (", fast" if self.fast else "")

    @property
    def folder(self) -> Path:
        """Within the folder of the comparison."""
        return Path(Path(self.model).name) / ("fast" if self.fast else "default")


def evaluate_ways(models: Sequence[str], *, run_as: RunConfig) -> list[Way]:
    """Make and score what is not there yet of every way, of the kinds of prompts that all models make.

    Raises:
        ValueError: models of one name, or one without settings of faster sampling, or no kind that all make.
    """
    ways = [Way(model=model, fast=fast) for model in models for fast in (False, True)]
    if len({way.folder for way in ways}) < len(ways):
        raise ValueError(f"--models are {', '.join(models)}: two have one name, so their clips would lie in one folder")
    found = [find_model(model) for model in models]
    for model in found:
        model.kind.fast_settings(model.files.defaults)  # refused before hours are spent on another
    kinds = tuple(kind for kind in KINDS if all(TASK_OF_KIND[kind] in model.kind.tasks for model in found))
    for way in ways:
        out = run_as.out / way.folder
        out.parent.mkdir(parents=True, exist_ok=True)
        run(replace(run_as, model=way.model, kinds=kinds, fast=way.fast, out=out))
    return ways


def measure_ways(ways: Sequence[Way], out: Path, *, repeats: int) -> None:
    """Write the `cost.json` of every way, all measured together, unless all are there."""
    places = [out / way.folder / "cost.json" for way in ways]
    if all(place.is_file() for place in places):
        return
    sampled = [Sampled(model=way.model, settings=_settings(way)) for way in ways]
    for way, place, cost in zip(ways, places, measure_alternately(sampled, repeats=repeats), strict=True):
        write_json(place, {"model": way.model, **asdict(cost)})


def side_by_side_table(ways: Sequence[Way], out: Path) -> str:
    """The table in Markdown, a column a way."""
    evaluations = evaluations_of(ways, out)
    seen = [SEEN_IN_TRAINING.get(way.model, "-") for way in ways]
    return compare_table(evaluations, more={"shown in training": seen})


def write_section(path: Path, table: str, pictures: Sequence[Path]) -> None:
    """Put table and pictures between the marks of a file of Markdown (`SECTION`), in place of what is there.

    Raises:
        ValueError: a file that is not there or has no such marks.
    """
    shown = [f"![Side by side]({Path(os.path.relpath(one, path.parent)).as_posix()})" for one in pictures]
    SECTION.write(path, "\n\n".join([table, *shown]))


def evaluations_of(ways: Sequence[Way], out: Path) -> dict[str, Evaluation]:
    """Name of a way -> its scores and costs."""
    return {way.name: read_evaluation(out / way.folder) for way in ways}


def _settings(way: Way) -> dict[str, Any]:
    found = find_model(way.model)
    return found.kind.fast_settings(found.files.defaults) if way.fast else {}
