"""Losses by time."""

import pytest
import torch

from lumos.lumina_video.training.time_bins import bin_of, binned_means


@pytest.mark.parametrize(("time", "expected"), [(0.0, 0), (0.0499, 0), (0.05, 1), (0.77, 15), (0.999, 19), (1.0, 19)])
def test_a_bin_begins_with_its_time(time: float, expected: int) -> None:
    assert bin_of(time) == expected


def test_sums_and_counts_are_those_of_the_items_of_a_bin() -> None:
    found = binned_means({"mse": torch.tensor([1.0, 2.0, 4.0])}, [3, 0, 3])
    assert {name: (float(total), count) for name, (total, count) in found.items()} == {
        "mse": (7.0, 3), "mse_t0.00": (2.0, 1), "mse_t0.15": (5.0, 2),
    }  # fmt: skip
