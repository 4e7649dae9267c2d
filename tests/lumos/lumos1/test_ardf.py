"""Masks of AR-DF: their properties, and the numbers of the released system (tests/golden)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumos.lumos1.ardf import (
    diffusion_forcing_mask,
    draw_mask,
    history_pattern,
    mask_ratio,
    random_mask,
    region_mask,
    tube_decay_mask,
    tube_mask,
)
from lumos.lumos1.config import ARDFConfig


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "pow2", "sigmoid"])
def test_schedules_equal_the_released_ones(golden: Path, schedule: str) -> None:
    numbers = json.loads((golden / "schedules.json").read_text())
    ratio = mask_ratio(torch.tensor(numbers["t"]), schedule)
    torch.testing.assert_close(ratio, torch.tensor(numbers["schedules"][schedule]), atol=3e-7, rtol=0)


def test_pow_is_the_square() -> None:
    u = torch.linspace(0, 1, 7)
    torch.testing.assert_close(mask_ratio(u, "pow"), mask_ratio(u, "pow2"))
    assert mask_ratio(u, "pow3")[3] == pytest.approx(1 - 0.5**3)


def test_ratio_is_floored() -> None:
    ratio = mask_ratio(torch.linspace(0, 1, 101), min_ratio=0.7)
    assert ratio[0] == 1
    assert ratio.min() == pytest.approx(0.7)


@pytest.mark.parametrize("schedule", ["cosin", "powx"])
def test_unknown_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match=schedule):
        mask_ratio(torch.zeros(1), schedule)


def test_tube_mask_is_identical_across_frames() -> None:
    mask = tube_mask(3, 6, 0.5, generator=seeded())
    assert mask.shape == (3, 6)
    assert (mask == mask[0]).all()


@given(positions=st.integers(1, 60), ratio=st.floats(0, 1), seed=st.integers(0, 9))
def test_tube_mask_masks_the_rounded_share_and_at_least_one(positions: int, ratio: float, seed: int) -> None:
    mask = tube_mask(2, positions, ratio, generator=seeded(seed))
    assert mask.sum(1).tolist() == [max(1, round(ratio * positions))] * 2


def test_tube_mask_is_uniform_over_positions() -> None:
    generator = seeded()
    hits = sum(tube_mask(1, 7, 3 / 7, generator=generator)[0].float() for _ in range(3000)) / 3000
    torch.testing.assert_close(hits, torch.full((7,), 3 / 7), atol=0.04, rtol=0)


def test_tube_mask_drawing() -> None:
    drawing = """
        . x x . . x
        . x x . . x
        . x x . . x
    """
    expected = torch.tensor([[cell == "x" for cell in line.split()] for line in drawing.strip().splitlines()])
    drawn = next(m for m in (tube_mask(3, 6, 0.5, generator=seeded(s)) for s in range(1000)) if m[0].equal(expected[0]))
    assert drawn.equal(expected)


def test_random_mask_counts_over_the_whole_clip() -> None:
    mask = random_mask(3, 7, 0.4, generator=seeded())
    assert mask.sum() == round(0.4 * 21)
    assert not (mask == mask[0]).all()


def test_tube_decay_widens_linearly_to_the_whole_last_frame() -> None:
    mask = tube_decay_mask(4, 10, 0.4, generator=seeded())
    assert mask.sum(1).tolist() == [4, 6, 8, 10]
    assert (mask[1:] >= mask[:-1]).all()
    assert tube_decay_mask(1, 10, 0.4, generator=seeded()).sum() == 4


def test_diffusion_forcing_has_a_ratio_and_positions_for_each_frame() -> None:
    mask = diffusion_forcing_mask(torch.tensor([0.2, 0.8, 0.8]), 10, generator=seeded())
    assert mask.sum(1).tolist() == [2, 8, 8]
    assert not mask[1].equal(mask[2])


@pytest.mark.parametrize("mask_type", ["tube", "random", "tube_decay", "diffusion_forcing"])
def test_drawn_masks_follow_the_generator_and_the_floor(mask_type: str) -> None:
    config = ARDFConfig(mask_type=mask_type)
    first, again, other = (draw_mask(config, 3, positions_per_frame=50, generator=seeded(seed)) for seed in (1, 1, 2))
    assert first.equal(again)
    assert not first.equal(other)
    assert first.shape == (3, 50)
    assert first.float().mean() >= 0.69


def test_region_mask_drawing() -> None:
    drawing = """
        . . . .
        . x x .
        . x x .
    """
    expected = torch.tensor([[cell == "x" for cell in line.split()] for line in drawing.strip().splitlines()])
    assert any(region_mask(3, 4, 1 / 3, generator=seeded(seed)).equal(expected) for seed in range(300))


@given(rows=st.integers(1, 9), length=st.integers(1, 9), ratio=st.floats(0, 1), seed=st.integers(0, 99))
def test_a_region_is_a_rectangle_of_about_the_share(rows: int, length: int, ratio: float, seed: int) -> None:
    mask = region_mask(rows, length, ratio, generator=seeded(seed))
    height, width = int(mask.any(1).sum()), int(mask.any(0).sum())
    wanted = max(1, round(ratio * rows * length))
    assert int(mask.sum()) == height * width
    assert wanted <= height * width < wanted + height


@pytest.mark.parametrize(("mask_type", "num_different"), [("tube", 1), ("random", 3), ("diffusion_forcing", 3)])
def test_contiguous_regions_are_drawn_as_often_as_asked(mask_type: str, num_different: int) -> None:
    config = ARDFConfig(mask_type=mask_type, mask_contiguous_region_prob=0.3, min_mask_ratio=0.2)
    found, different = 0, set()
    for seed in range(300):
        mask = draw_mask(config, 3, positions_per_frame=40, generator=seeded(seed), num_rows=8).view(3, 8, 5)
        sides = mask.any(2).sum(1) * mask.any(1).sum(1)
        if sides.equal(mask.flatten(1).sum(1)):
            found += 1
            different.add(len(mask.unique(dim=0)))
    assert found == pytest.approx(90, abs=25)
    assert max(different) == num_different


def test_wrong_ardf_combinations_say_what_to_type() -> None:
    with pytest.raises(ValueError, match="mask_contiguous_region_prob has no part in mask_type=tube_decay; use tube"):
        ARDFConfig(mask_type="tube_decay", mask_contiguous_region_prob=0.5)
    with pytest.raises(ValueError, match=r"text_to_video_prob is 0\.5, but modes has no text_to_video; add it"):
        ARDFConfig(modes=("video_next_frame",), text_to_video_prob=0.5)
    with pytest.raises(ValueError, match="noise_type is 'replace'; it must be one of mask, random_replace"):
        ARDFConfig(noise_type="replace")


def test_history_pattern_equals_the_released_one(golden: Path) -> None:
    for name, pattern in np.load(golden / "history_pattern.npz").items():
        length, ratio = name.removeprefix("L").split("_r")
        assert history_pattern(int(length), float(ratio)).tolist() == pattern.tolist(), name


def test_history_pattern_equals_the_released_one_at_the_edges(golden: Path) -> None:
    numbers = json.loads((golden / "history_pattern.json").read_text())
    edges = {name: value for name, value in numbers.items() if name.startswith("edge_") and not name.endswith("r0.0")}
    assert len(edges) == 4
    for name, pattern in edges.items():
        length, ratio = name.removeprefix("edge_L").split("_r")
        assert history_pattern(int(length), float(ratio)).tolist() == pattern, name


def test_history_ratio_0_masks_nothing() -> None:
    assert history_pattern(12, 0).tolist() == []


@given(positions=st.integers(1, 500), ratio=st.floats(0.001, 1))
def test_history_pattern_never_merges_two_positions(positions: int, ratio: float) -> None:
    pattern = history_pattern(positions, ratio)
    assert len(pattern) == max(1, round(ratio * positions))
    assert (pattern.diff() > 0).all()
    assert pattern[0] >= 0
    assert pattern[-1] < positions


def test_history_ratio_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match="mask_history_ratio"):
        history_pattern(12, 1.2)
