"""A model sampled in one way, and what chance would score."""

import pytest

from eval.ablations.plan import BUNDLED, Point
from eval.ablations.sampling import chance, sample


def test_chance_is_low_and_looks_are_more_likely_than_all_of_it() -> None:
    scores = chance(16)
    assert scores.num == 16 * 15
    assert 0 <= scores.correct <= scores.looks < 0.2


@pytest.mark.slow
def test_the_bundled_model_is_sampled_as_the_point_says() -> None:
    scores = sample(BUNDLED, Point(share=0.7, guidance=1.0, steps=2), num=8)
    assert scores.num == 8
    assert scores.seconds > 0
