"""The totals by the official constants; the golden numbers are of VBench's own scripts (see test_scorers)."""

import math

import pytest

from eval.vbench.totals import DIMENSIONS, VBENCH, VBENCH_I2V, totals_of


@pytest.mark.parametrize(
    ("benchmark", "groups"), [("vbench", ("quality", "semantic")), ("vbench_i2v", ("quality", "i2v"))]
)
def test_the_empirical_best_is_one_and_the_worst_nought(benchmark: str, groups: tuple[str, str]) -> None:
    for bound, total in (("high", 1.0), ("low", 0.0)):
        scores = {name: getattr(dimension, bound) for name, dimension in DIMENSIONS[benchmark].items()}
        assert totals_of(benchmark, scores) == pytest.approx(dict.fromkeys((*groups, "total"), total))


def test_totals_are_those_of_the_official_script() -> None:
    names = [
        "subject_consistency", "background_consistency", "temporal_flickering", "motion_smoothness", "dynamic_degree",
        "aesthetic_quality", "imaging_quality", "object_class", "multiple_objects", "human_action", "color",
        "spatial_relationship", "scene", "appearance_style", "temporal_style", "overall_consistency",
    ]  # fmt: skip
    scores = {name: 0.31 + 0.037 * index for index, name in enumerate(names)}
    golden = {"quality": -0.01166141291333392, "semantic": 1.2843697559959546, "total": 0.24754482086852375}
    assert totals_of("vbench", scores) == pytest.approx(golden, rel=1e-12)
    names = [
        "camera_motion", "i2v_subject", "i2v_background", "subject_consistency", "background_consistency",
        "motion_smoothness", "dynamic_degree", "aesthetic_quality", "imaging_quality",
    ]  # fmt: skip
    scores = {name: 0.42 + 0.051 * index for index, name in enumerate(names)}
    golden = {"quality": 0.5186174988902429, "i2v": 0.36912333531450453, "total": 0.44387041710237374}
    assert totals_of("vbench_i2v", scores) == pytest.approx(golden, rel=1e-12)


def test_quality_counts_four_times_and_dynamic_degree_half() -> None:
    scores = {name: dimension.low for name, dimension in VBENCH.items()}
    better = {**scores, **{name: d.high for name, d in VBENCH.items() if d.group == "quality"}}
    assert totals_of("vbench", better)["total"] == pytest.approx(0.8)
    assert totals_of("vbench", {**scores, "dynamic_degree": 1.0})["quality"] == pytest.approx(0.5 / 6.5)
    assert totals_of("vbench", {**scores, "imaging_quality": 1.0})["quality"] == pytest.approx(1 / 6.5)
    moved = {**{name: d.low for name, d in VBENCH_I2V.items()}, "camera_motion": 1.0}
    assert totals_of("vbench_i2v", moved)["i2v"] == pytest.approx(0.1 / 2.1)


@pytest.mark.parametrize("absent", [None, math.nan])
def test_no_total_while_a_dimension_is_missing(absent: float | None) -> None:
    """The official script takes 0 for it."""
    scores = {name: 0.5 for name in VBENCH if name != "scene"}
    if absent is not None:
        scores["scene"] = absent
    with pytest.raises(ValueError, match="no total while scene is missing"):
        totals_of("vbench", scores)
