"""Motion asked for and motion measured: clips of the same prompts at several motion scores, scored from their pixels.

Only Lumina-Video takes a motion score. The prompts name no motion, so that the score alone asks for one.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from eval.shapes.prompts import Record, make_prompts
from eval.shapes.run import PipelineGenerator, write_json
from lumos.cli.models.door import find_model, refuse_settings
from lumos.lumina_video.data.flow_estimators import DISFlow
from lumos.lumina_video.data.motion import score_frames
from lumos.lumina_video.encoding.clip_frames import motion_frames
from xllmx.disk.files import atomic_path


@dataclass(frozen=True, kw_only=True)
class MotionPoint:
    """What clips asked for with one score came out as."""

    asked: float
    measured: tuple[float, ...]
    """The score of each clip (DIS)."""

    @property
    def mean(self) -> float:
        """Mean of the measured scores."""
        return float(np.mean(self.measured))


@dataclass(frozen=True, kw_only=True)
class MotionCurve:
    """Points in the order of the scores asked."""

    points: tuple[MotionPoint, ...]

    @property
    def correlation(self) -> float:
        """Pearson's r of asked and measured scores over all clips; nan where nothing varies."""
        asked = np.repeat([point.asked for point in self.points], [len(point.measured) for point in self.points])
        return _pearson(asked, np.concatenate([point.measured for point in self.points]))

    @property
    def rank_correlation(self) -> float:
        """Spearman's rho of asked scores and mean measured ones: 1 where the means rise; nan where nothing varies."""
        return _pearson(_ranks([point.asked for point in self.points]), _ranks([point.mean for point in self.points]))

    @property
    def rises(self) -> bool:
        """Whether a higher score asked for never means a lower mean."""
        means = [point.mean for point in self.points]
        return all(low <= high for low, high in pairwise(means))


def _pearson(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.std() and other.std() else float("nan")


def _ranks(values: Sequence[float]) -> np.ndarray:
    """The place of each in their order; equal ones share the mean of theirs."""
    array = np.asarray(values)
    return np.array([(array < value).sum() + ((array == value).sum() - 1) / 2 for value in array])


def measure_motion(
    model: str, asked: Sequence[float], *, num: int, seed: int = 0, batch_size: int = 32, settings: dict[str, Any]
) -> MotionCurve:
    """Make `num` clips at each score and measure them.

    Clip i has the seed `seed` + i at every score: between two points only what was asked differs.

    Raises:
        ValueError: a model without motion scores, or settings that it does not have.
    """
    found = find_model(model, how={"keep_encoders": True})
    refuse_settings(found, ["motion", *settings])
    for score in asked:
        found.settings_for({**settings, "motion": score}, image=None)
    records = unmoved_prompts(num, seed)
    pipeline, estimator = found.load([]), DISFlow()
    points = []
    with tqdm(total=num * len(asked), desc="motion", unit="clip") as progress:
        for score in asked:
            generate = PipelineGenerator(pipeline, seed=seed, settings={**settings, "motion": score})
            measured: list[float] = []
            for first in range(0, num, batch_size):
                clips = generate(records[first : first + batch_size])
                measured += [_score(clip, estimator, fps=generate.fps) for clip in clips]
                progress.update(len(clips))
            points.append(MotionPoint(asked=score, measured=tuple(measured)))
    return MotionCurve(points=tuple(points))


def unmoved_prompts(num: int, seed: int) -> list[Record]:
    """`num` prompts of one object that name no motion."""
    drawn = num
    while True:
        drawn *= 2
        records = [
            record
            for record in make_prompts("t2v", drawn, seed)
            if len(record.prompt.include) == 1
            and record.prompt.include[0].count == 1
            and record.prompt.include[0].motion is None
        ]
        if len(records) >= num:
            return records[:num]


def _score(clip: np.ndarray, estimator: DISFlow, *, fps: float) -> float:
    return score_frames(clip[motion_frames(len(clip), fps)], estimator)


def save_curve(curve: MotionCurve, folder: Path) -> None:
    """Write `motion.json` and `motion.png` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"points": [{**asdict(point), "mean": point.mean} for point in curve.points]}
    said = {"correlation": curve.correlation, "rank_correlation": curve.rank_correlation}
    finite = {name: None if np.isnan(value) else value for name, value in said.items()}
    write_json(folder / "motion.json", {**content, **finite, "rises": curve.rises})
    _draw(curve, folder / "motion.png")


def motion_table(curve: MotionCurve) -> str:
    """The curve as lines for a person."""
    lines = ["motion score  asked  measured (mean of clips; DIS)"]
    lines += [f"              {point.asked:5.1f}  {point.mean:8.2f}" for point in curve.points]
    return "\n".join([*lines, _in_words(curve)])


def _in_words(curve: MotionCurve) -> str:
    return f"correlation over clips {curve.correlation:.2f}, rank correlation of the means {curve.rank_correlation:.2f}"


def _draw(curve: MotionCurve, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    for point in curve.points:
        axes.plot([point.asked] * len(point.measured), point.measured, "o", color="tab:blue", alpha=0.25, markersize=4)
    axes.plot([point.asked for point in curve.points], [point.mean for point in curve.points], "o-", color="tab:red")
    axes.set(xlabel="motion score asked for", ylabel="motion score measured (DIS)", ylim=(0, None))
    axes.set_title(_in_words(curve), fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
