"""The tables of what the released Lumina-Video costs."""

import pytest

from benchmarks.lumina_video.arithmetic import CONFIG, run_seconds, runs_table, scales_table, step_bytes, step_seconds
from lumos.lumina_video.settings import MADE_FOR, resolve_settings

LARGE = resolve_settings({}, {**MADE_FOR["f24F96R960"], "preset": "f24F96R960"})


def test_a_step_is_bound_by_its_products_at_every_scale() -> None:
    for scale in CONFIG.scales:
        by_flops, by_bytes = step_seconds(LARGE.latent_shape, scale, branches=2)
        assert by_flops > by_bytes > 0


def test_a_step_reads_the_weights_once_and_its_tokens_once_a_branch() -> None:
    one, two = (step_bytes(LARGE.latent_shape, CONFIG.scale("2x4"), branches=branches) for branches in (1, 2))
    assert 2 * one - two == 2 * 1_771_364_672


def test_a_run_takes_what_its_flops_take() -> None:
    assert run_seconds(LARGE) == pytest.approx(224e15 / 790e12, rel=0.01)


def test_tables_name_every_scale_and_preset() -> None:
    assert [line.split(" | ")[0] for line in scales_table(LARGE).splitlines()[2:]] == ["| 1x2", "| 2x2", "| 2x4"]
    assert "f16F64R512-MultiScale, 672x384, 64 frames | 28 at 2x4, 26 at 2x2, 15 at 1x2 | 128" in runs_table()
