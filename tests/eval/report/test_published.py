"""Published numbers: sourced, in range, of known names, and consistent with the official formulas."""

import pytest

from eval.benchmarks import BENCHMARKS
from eval.geneval.report import TAGS, total_of
from eval.report.published import published
from eval.vbench.totals import DIMENSIONS, GROUP_WEIGHTS


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_rows_have_a_source_and_known_names(benchmark: str) -> None:
    known = (
        {*TAGS, "overall"} if benchmark == "geneval" else {*DIMENSIONS[benchmark], *GROUP_WEIGHTS[benchmark], "total"}
    )
    rows = published(BENCHMARKS[benchmark])
    assert rows[0].model.startswith("Lumos-1")
    for row in rows:
        assert row.source
        assert row.url.startswith("https://")
        assert row.values.keys() <= known
        assert all(0 <= value <= 1 for value in row.values.values())


def test_geneval_s_overall_is_the_mean_of_its_tags() -> None:
    """Up to the rounding of the tags; a slip in copying would show."""
    for row in published(BENCHMARKS["geneval"]):
        tags = {name: value for name, value in row.values.items() if name != "overall"}
        if tags:
            assert total_of(tags)["overall"] == pytest.approx(row.values["overall"], abs=0.011), row.model


@pytest.mark.parametrize("benchmark", ["vbench", "vbench_i2v"])
def test_totals_are_the_weighted_means_of_their_groups(benchmark: str) -> None:
    weights = GROUP_WEIGHTS[benchmark]
    for row in published(BENCHMARKS[benchmark]):
        mean = sum(row.values[group] * weight for group, weight in weights.items()) / sum(weights.values())
        assert mean == pytest.approx(row.values["total"], abs=0.0011), row.model
