"""Step functions of t and the grid of times, against the released rule and its golden values."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumos.lumina_video.sampling.schedule import SHIFTS, parse_schedule, shift_time, time_grid, value_at, values_reached


def test_golden_values_of_schedules(golden_lumina: Path) -> None:
    cases = json.loads((golden_lumina / "schedule.json").read_text())
    num_errors = 0
    for case in cases:
        for t, expected in zip(case["t"], case["value"], strict=True):
            if isinstance(expected, dict):
                num_errors += 1
                with pytest.raises(ValueError, match="no step function of t"):
                    value_at(case["config"], t)
            else:
                assert value_at(case["config"], t) == expected, (case["config"], t)
    assert 0 < num_errors < sum(len(case["t"]) for case in cases)


def test_the_drawn_step_function_is_that_of_the_docstring() -> None:
    assert [value_at((20, (0.2, 0)), t) for t in (0, 0.199, 0.2, 1)] == [20, 20, 0, 0]


def test_times_out_of_order_are_not_sorted() -> None:
    schedule = (1, (0.5, 2), (0.25, 3))
    assert [value_at(schedule, t) for t in (0.3, 0.5)] == [1, 3]
    assert values_reached(schedule) == (1, 3)


def test_a_tensor_is_a_time_and_lists_are_tuples() -> None:
    t = torch.tensor(0.03, dtype=torch.bfloat16)
    assert value_at(["2x4", [0.03, "2x2"]], t) == value_at(("2x4", (0.03, "2x2")), float(t)) == "2x2"


@pytest.mark.parametrize(
    "schedule",
    [
        *(None, {}, [], (), math.nan, math.inf, object()),
        *((1, (math.nan, 2)), (1, ("0.5", 2)), (1, (0.5, None)), (1, (0.5, (2,)))),
        *(((1, (0.5, 2)),), (1, (0.5, 2, 3)), (1, "0.5")),
    ],
)
def test_what_is_no_step_function_is_refused_at_every_t(schedule: Any) -> None:
    with pytest.raises(ValueError, match="write one value, or"):
        value_at(schedule, 0.0)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5)), max_size=4), st.floats(0, 1))
def test_every_value_is_among_those_reached(changes: list[tuple[float, int]], t: float) -> None:
    schedule = (7, *changes)
    assert value_at(schedule, t) in values_reached(schedule)
    assert parse_schedule(schedule) == schedule


def test_values_outside_of_the_run_are_not_reached() -> None:
    assert values_reached(("2x4", (0.0, "2x2"), (1.5, "1x2"))) == ("2x2",)


@pytest.mark.parametrize("shift", [None, 0, 1])
def test_no_shift_leaves_the_grid_even(shift: float | None) -> None:
    torch.testing.assert_close(time_grid(5, shift), torch.tensor([0, 0.25, 0.5, 0.75, 1]), rtol=0, atol=0)


@given(st.integers(2, 200), st.floats(*SHIFTS))
def test_a_grid_rises_from_0_to_1_in_fp32(num_points: int, shift: float) -> None:
    grid = time_grid(num_points, shift)
    assert grid.dtype == torch.float32
    assert grid.shape == (num_points,)
    assert grid[0] == 0
    assert grid[-1].item() == pytest.approx(1, abs=2e-4 if shift > 100 else 2e-5)
    assert (grid.diff() > 0).all()


def test_a_shift_above_1_moves_times_towards_the_noise() -> None:
    even = torch.linspace(0, 1, 9)[1:-1]
    assert (shift_time(even, 8.0) < even).all()
    torch.testing.assert_close(shift_time(shift_time(even, 8.0), 1 / 8), even)


def test_golden_grids(golden_lumina: Path) -> None:
    stored = np.load(golden_lumina / "sampling.npz")
    for name, shift in (("f24F96R960", 24.0), ("f16F64R512", 8.0)):
        np.testing.assert_array_equal(time_grid(70, shift).numpy(), stored[f"{name}_grid"])


@pytest.mark.parametrize("shift", [-1, math.nan, math.inf, 1e-9, 1e9])
def test_a_shift_that_fp32_does_not_hold_is_refused(shift: float) -> None:
    with pytest.raises(ValueError, match=r"time shift \(ts\) is .*released: 8, 24"):
        time_grid(5, shift)


@pytest.mark.parametrize("num_points", [-3, 0, 1])
def test_a_grid_has_a_step(num_points: int) -> None:
    with pytest.raises(ValueError, match="2 points or more"):
        time_grid(num_points, None)
