"""What the ablations compare: configs that differ in one line, and ways to sample that differ in one setting."""

from dataclasses import asdict
from pathlib import Path

import pytest

from eval.ablations.plan import BASE, SWEEPS, VARIANTS, compared_points, runs, swept_points
from lumos.cli.training.training_run import RunConfig, load_run

CHANGED = {
    "random": "    mask_type: random",
    "diffusion_forcing": "    mask_type: diffusion_forcing",
    "rope_3d": "    rotary: rope_3d",
    "rope_1d": "    rotary: rope_1d",
}


def lines(repo: Path, variant: str) -> list[str]:
    return (repo / "configs" / "ablations" / f"{variant}.yaml").read_text().splitlines()


def test_every_variant_has_a_config_and_every_config_is_a_variant(repo: Path) -> None:
    assert {path.stem for path in (repo / "configs" / "ablations").iterdir()} == set(VARIANTS)


@pytest.mark.parametrize("variant", CHANGED)
def test_a_config_differs_from_base_in_one_line(repo: Path, variant: str) -> None:
    base, other = lines(repo, BASE), lines(repo, variant)
    assert [new for old, new in zip(base, other, strict=True) if old != new] == [CHANGED[variant]]


def test_base_says_what_the_released_models_have(repo: Path) -> None:
    config = load_run(repo / "configs" / "ablations" / "base.yaml")
    assert isinstance(config, RunConfig)
    assert (config.task.ardf.mask_type, config.task.model["rotary"]) == ("tube", "mm_rope")


def test_the_first_seed_of_all_comes_before_the_second_of_any() -> None:
    names = [run.name for run in runs(2)]
    assert names[:2] == ["base-0", "random-0"]
    assert names[len(VARIANTS) :] == [name.replace("-0", "-1") for name in names[: len(VARIANTS)]]


@pytest.mark.parametrize("what", SWEEPS)
def test_points_of_a_sweep_differ_in_one_setting(what: str) -> None:
    columns = zip(*(asdict(point).values() for point in SWEEPS[what]), strict=True)
    assert sorted(len(set(column)) for column in columns) == [1, 1, len(SWEEPS[what])]


def test_every_point_comes_once_and_the_compared_ones_are_points_of_a_sweep() -> None:
    swept = swept_points()
    assert len(swept) == len(set(swept)) == sum(map(len, SWEEPS.values())) - 2, "all three sweeps share one point"
    assert set(compared_points()) < set(swept)
