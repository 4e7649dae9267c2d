"""The benches of Lumina-Video compare paths that give the same, and count FLOPs as torch does."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.lumina_video.flow import (
    MULTI,
    SINGLE,
    WORKS,
    Bench,
    guided,
    multi_share,
    run_paths,
    step_flops,
    step_paths,
)
from lumos.lumina_video.cost import num_parameters, text_flops

WORK = WORKS["tiny"]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(WORK, dtype=torch.float32, device=torch.device("cpu"))


@pytest.mark.parametrize("scale", WORK.config.scales, ids=str)
def test_both_paths_take_the_same_guided_step(bench: Bench, scale: object) -> None:
    literal, ours = (path() for path in step_paths({"fp32": bench}, guided(str(scale)), literal=("fp32",)).values())
    assert isinstance(literal, torch.Tensor)
    assert literal.norm() > 0
    torch.testing.assert_close(literal, ours, atol=1e-4, rtol=1e-4)


def test_both_paths_make_the_same_run_and_scales_another(bench: Bench) -> None:
    literal, single, multi = (path() for path in run_paths(bench, 5).values())
    torch.testing.assert_close(literal, single, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(single, multi, atol=1e-2)


def test_flops_are_those_torch_counts(bench: Bench) -> None:
    step = bench.step(guided("2x2"))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        step()
    scale = WORK.config.scale("2x2")
    assert counter.get_total_flops() == step_flops(WORK, scale, literal=False)
    texts = step_flops(WORK, scale, literal=True) - step_flops(WORK, scale, literal=False)
    assert texts == 2 * text_flops(WORK.config, text_tokens=256)


def test_the_works_are_what_they_are_called() -> None:
    assert num_parameters(WORKS["released-960"].config) == 1_771_364_672
    assert WORKS["released-960"].latent == (24, 88, 156)
    assert multi_share(WORKS["released-960"], 69) == pytest.approx(63 / 224, abs=0.005)
    assert (str(SINGLE.scale), MULTI.scale[0]) == ("1x2", "2x4")
