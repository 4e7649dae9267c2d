"""Clips several times as long as the model's own: what is right of each stretch, with a window and the naive way.

The prompts name a motion that can go on for any length, for whatever moves along leaves the picture in the end. A
stretch, as long as the model's own clips, is right when it shows the count, shapes and colours of the prompt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from eval.shapes.outputs import find_output, read_output
from eval.shapes.pictures.strips import write_strips
from eval.shapes.prompts import Record, make_prompts
from eval.shapes.run import PipelineGenerator, claim_folder, fill_folder, write_json
from eval.shapes.score import check
from lumos.cli.jobs.record import model_hash
from lumos.cli.models.door import find_model, refuse_settings
from lumos.lumos1.sampling.settings import Settings
from lumos.shapes import describe
from xllmx.disk.files import atomic_path
from xllmx.settings.number_range import COUNT, SHARE, Range, check_numbers
from xllmx.settings.setting import SettingError
from xllmx.words import plural

LASTING = ("still", "turn")
"""Motions without an end."""
_BATCH = 8
_BEYOND = 2**20
"""Positions that the naive way may use: more than the model was made for."""


@dataclass(frozen=True, kw_only=True)
class LongClips:
    """What came of one way of making them."""

    way: str
    """`window`, or `naive`: every frame looks back at all before it."""
    stretches: tuple[Annotated[float, SHARE], ...]
    """Share of clips that are right in each stretch."""
    correct: Annotated[int, Range(0)]
    """Clips that are right in every stretch."""
    num: Annotated[int, COUNT]
    """Clips."""
    motions: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Motion asked for -> (clips that are right in every stretch, clips)."""

    def __post_init__(self) -> None:
        check_numbers(self)

    @property
    def accuracy(self) -> float:
        """Share of clips that are right from the beginning to the end."""
        return self.correct / self.num


def measure_long(
    model: str, *, num: int, times: int, seed: int = 0, fast: bool = False, settings: Mapping[str, Any], out: Path
) -> list[LongClips]:
    """Make clips `times` as long as the model's own, both ways, in folders of `out`; those that are there stay.

    Raises:
        ValueError: a model without a window, or settings that it does not have.
    """
    found = find_model(model)
    refuse_settings(found, settings)
    chosen = {**(found.kind.fast_settings(found.files.defaults) if fast else {}), **settings}
    length = found.settings_for({}, image=None).num_output_frames
    asked = {**chosen, "num_frames": times * length}
    made = found.settings_for(asked, image=None)
    if not isinstance(made, Settings) or made.window_frames is None:
        raise SettingError("history_frames", f"is not set for {model}; give history_frames=2, say, for the window")
    made_by = {"model": model, "model_hash": model_hash(found.files), "num": num, "seed": seed, "settings": asked}
    claim_folder(out, {"tag": "long", **made_by})
    records = make_prompts("t2v", num, seed, tags=("motion",), motions=LASTING)
    pipeline: Any = found.load([])
    results = []
    for way in ("window", "naive"):
        if way == "naive":
            pipeline.model.config.max_position_embeddings = _BEYOND
            asked = {**asked, "history_frames": "all"}
        generate = PipelineGenerator(pipeline, seed=seed, settings=asked)
        fill_folder(records, generate, out / way, batch_size=_BATCH, fps=generate.fps)
        clips = [read_output(path) for record in records if (path := find_output(out / way, record))]
        right = [right_stretches(record, clip, length) for record, clip in zip(records, clips, strict=True)]
        shares = tuple(float(share) for share in np.mean(right, axis=0))
        correct = sum(all(each) for each in right)
        by_motion = {
            motion: (sum(all(each) for each in right[index :: len(LASTING)]), len(right[index :: len(LASTING)]))
            for index, motion in enumerate(LASTING)
        }
        results.append(LongClips(way=way, stretches=shares, correct=correct, num=len(records), motions=by_motion))
        write_strips(out / f"{way}.png", records, clips, [all(each) for each in right])
    return results


def right_stretches(record: Record, frames: np.ndarray, length: int) -> list[bool]:
    """Whether each whole stretch of `length` frames shows the count, shapes and colours that the prompt asks for."""
    claims = tuple(replace(claim, motion=None) for claim in record.prompt.include)
    asked = replace(record.prompt, include=claims, relation=None, ground=None)
    starts = range(0, len(frames) - length + 1, length)
    return [check(asked, describe(frames[start : start + length])).correct for start in starts]


def save_long(results: Sequence[LongClips], folder: Path) -> None:
    """Write `long.json`, and the curve `long.png`."""
    content = {result.way: {**asdict(result), "accuracy": result.accuracy} for result in results}
    write_json(folder / "long.json", {"tag": "long", **content})
    _draw(results, folder / "long.png")


def long_table(results: Sequence[LongClips]) -> str:
    """The scores as lines for a person."""
    lines = [
        f"long: {plural(results[0].num, 'clip')} of {len(results[0].stretches)} times the length, right in each stretch"
    ]
    for result in results:
        shares = "  ".join(f"{share:.3f}" for share in result.stretches)
        lines.append(f"  {result.way:<8}{shares}   all of it {result.accuracy:.3f}   {result.correct} of {result.num}")
        lines += [f"    asked: {motion:<10}{right} of {num}" for motion, (right, num) in result.motions.items()]
    return "\n".join(lines)


def _draw(results: Sequence[LongClips], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    for result in results:
        axes.plot(range(1, len(result.stretches) + 1), result.stretches, "o-", label=result.way)
    axes.set(xlabel="length so far, in the model's own", ylabel="share of clips that are right", ylim=(0, 1.02))
    axes.set_xticks(range(1, len(results[0].stretches) + 1))
    axes.legend(loc="lower left")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
