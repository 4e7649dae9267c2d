"""The official totals of VBench and VBench-I2V: weighted means of normalised dimensions.

The constants are facts of the benchmark: its scripts/constant.py (Apache-2.0).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """How a dimension's score enters the total: (score - low) / (high - low), weighted, in one of two groups."""

    group: str
    prompts: int
    """Of the official list, each with five videos."""
    low: float = 0.0
    high: float = 1.0
    weight: float = 1.0

    def normalised(self, score: float) -> float:
        """The score on the scale from the benchmark's empirical worst (0) to its best (1)."""
        return (score - self.low) / (self.high - self.low)


_SUBJECT = {"low": 0.1462}
_BACKGROUND = {"low": 0.2615}
_SMOOTHNESS = {"low": 0.7060, "high": 0.9975}

VBENCH: dict[str, Dimension] = {
    "subject_consistency": Dimension(group="quality", prompts=72, **_SUBJECT),
    "background_consistency": Dimension(group="quality", prompts=86, **_BACKGROUND),
    "temporal_flickering": Dimension(group="quality", prompts=75, low=0.6293),
    "motion_smoothness": Dimension(group="quality", prompts=72, **_SMOOTHNESS),
    "dynamic_degree": Dimension(group="quality", prompts=72, weight=0.5),
    "aesthetic_quality": Dimension(group="quality", prompts=93),
    "imaging_quality": Dimension(group="quality", prompts=93),
    "object_class": Dimension(group="semantic", prompts=79),
    "multiple_objects": Dimension(group="semantic", prompts=82),
    "human_action": Dimension(group="semantic", prompts=100),
    "color": Dimension(group="semantic", prompts=85),
    "spatial_relationship": Dimension(group="semantic", prompts=84),
    "scene": Dimension(group="semantic", prompts=86, high=0.8222),
    "appearance_style": Dimension(group="semantic", prompts=90, low=0.0009, high=0.2855),
    "temporal_style": Dimension(group="semantic", prompts=100, high=0.364),
    "overall_consistency": Dimension(group="semantic", prompts=93, high=0.364),
}

VBENCH_I2V: dict[str, Dimension] = {
    "camera_motion": Dimension(group="i2v", prompts=763, weight=0.1),
    "i2v_subject": Dimension(group="i2v", prompts=246, **_SUBJECT),
    "i2v_background": Dimension(group="i2v", prompts=109, **_BACKGROUND),
    "subject_consistency": Dimension(group="quality", prompts=246, **_SUBJECT),
    "background_consistency": Dimension(group="quality", prompts=109, **_BACKGROUND),
    "motion_smoothness": Dimension(group="quality", prompts=246, **_SMOOTHNESS),
    "dynamic_degree": Dimension(group="quality", prompts=246, weight=0.5),
    "aesthetic_quality": Dimension(group="quality", prompts=355),
    "imaging_quality": Dimension(group="quality", prompts=355),
}
"""VBench-I2V scores temporal flickering too, and leaves it out of the total."""

GROUP_WEIGHTS: dict[str, dict[str, float]] = {
    "vbench": {"quality": 4.0, "semantic": 1.0},
    "vbench_i2v": {"quality": 1.0, "i2v": 1.0},
}
DIMENSIONS: dict[str, dict[str, Dimension]] = {"vbench": VBENCH, "vbench_i2v": VBENCH_I2V}


def totals_of(benchmark: str, scores: Mapping[str, float]) -> dict[str, float]:
    """The scores of the two groups and `total`, of VBench (`vbench`) or VBench-I2V (`vbench_i2v`).

    A group's score is the weighted mean of its normalised dimensions; the total that of the groups, 4 : 1 for quality
    and semantic, 1 : 1 for quality and i2v. Raises `ValueError` while a dimension is missing or no number: the official
    script takes 0 for it.
    """
    dimensions, groups = DIMENSIONS[benchmark], GROUP_WEIGHTS[benchmark]
    missing = [name for name in dimensions if not math.isfinite(scores.get(name, math.nan))]
    if missing:
        raise ValueError(f"no total while {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    totals = {}
    for group in groups:
        inside = {name: dimension for name, dimension in dimensions.items() if dimension.group == group}
        weighted = sum(d.weight * d.normalised(scores[name]) for name, d in inside.items())
        totals[group] = weighted / sum(d.weight for d in inside.values())
    total = sum(weight * totals[group] for group, weight in groups.items()) / sum(groups.values())
    return {**totals, "total": total}
