"""Times of training items: golden transforms of the draws, ranges, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lumos.lumina_video.sampling.schedule import shift_time
from lumos.lumina_video.training.times import draw_times, times_of


def test_golden_times(golden_lumina: Path) -> None:
    cases = json.loads((golden_lumina / "loss.json").read_text())["t"]
    assert {case["snr_type"] for case in cases} == {"uniform", "uniform_0.2_0.7", "lognorm"}
    for case in cases:
        times = times_of(torch.tensor(case["draw"]), case["snr_type"], shift=case["time_shift"])
        np.testing.assert_allclose(times, case["t"], rtol=0, atol=1e-6, err_msg=str(case))
        np.testing.assert_array_equal(times.bfloat16().float(), case["t_bf16"], err_msg=str(case))


@pytest.mark.parametrize(
    ("distribution", "low", "high", "median"),
    [("uniform", 0, 1, 0.5), ("uniform_0.2_0.7", 0.2, 0.7, 0.45), ("lognorm", 0, 1, 0.5)],
)
def test_draws_fill_their_range_and_the_shift_moves_them(
    distribution: str, low: float, high: float, median: float
) -> None:
    plain, shifted = (
        draw_times(20_000, distribution, shift=shift, generator=torch.Generator().manual_seed(3)) for shift in (None, 4)
    )
    assert low <= plain.min() < plain.max() <= high
    assert plain.median().item() == pytest.approx(median, abs=0.02)
    torch.testing.assert_close(shifted, shift_time(plain, 4.0))
    assert shifted.median().item() == pytest.approx(median / (median + 4 - 4 * median), abs=0.02)


def test_draws_are_the_generators_alone() -> None:
    generator = torch.Generator().manual_seed(3)
    first = draw_times(5, "lognorm", shift=2, generator=generator)
    assert not torch.equal(first, draw_times(5, "lognorm", shift=2, generator=generator))
    assert torch.equal(first, draw_times(5, "lognorm", shift=2, generator=torch.Generator().manual_seed(3)))


def test_either_bound_may_be_the_larger_and_both_the_same_as_released() -> None:
    draws = torch.tensor([0.0, 0.25, 0.75])
    torch.testing.assert_close(times_of(draws, "uniform_0.7_0.2", shift=None), torch.tensor([0.7, 0.575, 0.325]))
    torch.testing.assert_close(times_of(draws, "uniform_0.4_0.4", shift=None), torch.full((3,), 0.4))


@pytest.mark.parametrize(
    "distribution",
    ["", "normal", "uniform_", "uniform_0.2", "uniform_-0.1_0.2", "uniform_0_2", "uniform_a_b", "lognorm_1"],
)
def test_an_unknown_distribution_is_refused(distribution: str) -> None:
    with pytest.raises(ValueError, match=r"snr_type is .*it must be uniform, uniform_A_B"):
        draw_times(5, distribution, shift=None, generator=torch.Generator())
