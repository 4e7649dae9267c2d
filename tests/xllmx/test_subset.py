"""Samples of which each epoch sees a share."""

import numpy as np

from xllmx.subset import Subset, draw, num_drawn, within

SUBSETS = [Subset(start=2, stop=6, share=0.5), Subset(start=8, stop=11, share=0.1)]


def test_a_draw_keeps_a_share_of_each_subset_and_all_the_rest() -> None:
    drawn = [draw(np.arange(13), SUBSETS, np.random.default_rng(seed)).tolist() for seed in range(40)]
    for indices in drawn:
        assert indices == sorted(set(indices))
        assert len(indices) == num_drawn(np.arange(13), SUBSETS) == 13 - 2 - 2
        assert {0, 1, 6, 7, 11, 12} <= set(indices)
    assert {index for indices in drawn for index in indices} == set(range(13))  # each has its turn


def test_subsets_follow_the_samples_that_are_used() -> None:
    assert within(SUBSETS, [0, 3, 5, 8, 12]) == [
        Subset(start=1, stop=3, share=0.5),
        Subset(start=3, stop=4, share=0.1),
    ]
