"""One model, sampled in one way and read back: what share of clips is as asked."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from eval.ablations.plan import Point
from eval.shapes.prompts import Record, make_prompts
from eval.shapes.run import PipelineGenerator, evaluate
from eval.shapes.score import Result, check
from lumos.cli.models.door import find_model
from lumos.shapes import MOTIONS, describe, render
from xllmx.settings.number_range import COUNT, SHARE, Range, check_numbers

SEED = 7
"""Draws the prompts; clip i is made with this seed + i, under every model and setting alike."""
_BATCH, _SIDE_PX = 32, 64
_DRAWN = 4  # prompts for each that is taken: about half show a pair


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What came of one way to sample one model."""

    num: Annotated[int, COUNT]
    """Prompts."""
    correct: Annotated[float, SHARE]
    """Share of clips in which all is as asked."""
    looks: Annotated[float, SHARE]
    """Share with one object of the shape, colour and ground asked for, however it moves."""
    seconds: Annotated[float, Range(0, 10**7)] = 0.0
    """It took to make them."""

    def __post_init__(self) -> None:
        check_numbers(self)


def single_prompts(num: int) -> list[Record]:
    """Return `num` records of single shapes that move, every motion equally often, in reserved wordings.

    `num` is a multiple of the number of motions.
    """
    each = num // len(MOTIONS)
    assert each * len(MOTIONS) == num > 0
    found: dict[str, list[Record]] = {motion: [] for motion in MOTIONS}
    for record in make_prompts("t2v", _DRAWN * num, SEED, tags=("motion",)):
        if len(record.spec.objects) == 1:
            found[record.spec.objects[0].motion].append(record)
    assert all(len(records) >= each for records in found.values())
    return [records[place] for place in range(each) for records in found.values()]


def sample(model: str, point: Point, *, num: int) -> Scores:
    """Return the scores of clips that are made and read in memory."""
    records = single_prompts(num)
    pipeline: Any = find_model(model).load([])
    generate = PipelineGenerator(pipeline, seed=SEED, settings=point.settings)
    start = time.perf_counter()
    results = evaluate(records, generate, batch_size=_BATCH)
    return scores_of(results, seconds=time.perf_counter() - start)


def chance(num: int) -> Scores:
    """Return the scores of clips that show what another prompt asked for, over all pairs."""
    records = single_prompts(num)
    clips = [render(record.spec, width=_SIDE_PX, height=_SIDE_PX) for record in records]
    seen = [describe(frames) for frames in clips]
    pairs = [(asked, shown) for asked in range(num) for shown in range(num) if asked != shown]
    results = [
        Result(record=records[asked], verdict=check(records[asked].prompt, seen[shown])) for asked, shown in pairs
    ]
    return scores_of(results)


def scores_of(results: Sequence[Result], *, seconds: float = 0.0) -> Scores:
    """Return the shares over some results: what is wrong in no way, and what is wrong in its motion at most."""
    looks = [all(reason.startswith("motion") for reason in result.verdict.reasons) for result in results]
    correct = sum(result.verdict.correct for result in results) / len(results)
    return Scores(num=len(results), correct=correct, looks=sum(looks) / len(results), seconds=round(seconds, 1))
