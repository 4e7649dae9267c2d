"""How many codes are masked before each refinement, the temperature, and the step of a clip ahead of the schedule."""

import json
from pathlib import Path

import pytest
import torch

from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.sampling.schedule import (
    Step,
    confidence_temperature,
    num_masked,
    num_within,
    schedule,
    scheduled_step,
)


@pytest.mark.parametrize("num_steps", [18, 50])
@pytest.mark.parametrize("num_positions", [1792, 4032])
def test_mask_counts_equal_the_released_ones(golden: Path, num_steps: int, num_positions: int) -> None:
    numbers = json.loads((golden / "schedules.json").read_text())["mask_len"]
    unknown, counts = num_positions, []
    for index in range(num_steps):
        unknown = num_masked(index, num_steps=num_steps, unknown=unknown, num_positions=num_positions)
        counts.append(unknown)
    assert counts == numbers[f"cosine_T{num_steps}_N{num_positions}"]["mask_len"]


@pytest.mark.parametrize("num_steps", [4, 18, 50])
def test_released_temperature_is_never_reset(golden: Path, num_steps: int) -> None:
    numbers = json.loads((golden / "schedules.json").read_text())["temperature_after_each_step_two_frames_start1.0"]
    config = SamplerConfig(num_steps=num_steps)
    taus = [
        confidence_temperature(config, Step(frame=frame, index=index, first=frame == 0))
        for frame in range(2)
        for index in range(num_steps)
    ]
    assert taus == pytest.approx(numbers[str(num_steps)], abs=1e-12)


def test_per_frame_temperature_starts_anew() -> None:
    config = SamplerConfig(num_steps=4, confidence_temperature="per_frame")
    assert confidence_temperature(config, Step(frame=1, index=0, first=False)) == 0.75


def test_schedule_is_that_of_exact_sampling_and_has_a_step_for_every_number() -> None:
    assert schedule(4, 32) == (32, 29, 22, 12)
    assert schedule(20, 12)[:4] == (12, 11, 10, 9)  # one a step, however slowly the cosine falls
    found = [scheduled_step(unknown, num_steps=4, num_positions=32) for unknown in (32, 30, 29, 23, 22, 12, 1, 0)]
    assert found == [0, 0, 1, 1, 2, 3, 3, 3]
    assert scheduled_step(1, num_steps=20, num_positions=12) == 19


@pytest.mark.parametrize(
    ("entropy", "bound", "kept"),
    [
        ([3.0, 3.0, 3.0], 0.1, 0),
        ([0.1, 0.2, 3.0, 0.3], 0.2, 1),
        ([0.1, 0.2, 3.0, 0.3], 0.35, 2),
        ([0.1, 0.2, 3.0, 0.3], 3.65, 4),
        ([0.0, 0.0, 0.0, 3.0], 1e-6, 3),
        ([0.5, 0.5, 3.0], 1.0, 2),
        ([], 1.0, 0),
    ],
)
def test_entropies_that_fit_a_bound(entropy: list[float], bound: float, kept: int) -> None:
    assert num_within(torch.tensor([entropy]), bound=bound).tolist() == [kept]
