"""Arithmetic of cost against the facts of the released sizes, torch's FLOP counter, and the memory a pass takes."""

import weakref
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.cost import (
    activation_bytes,
    num_parameters,
    num_tokens,
    pass_flops,
    run_flops,
    text_flops,
    training_bytes,
    training_flops,
    weight_bytes,
)
from lumos.lumina_video.dit import MultiScaleNextDiT
from lumos.lumina_video.preset import FlowPreset
from lumos.lumina_video.sizes import latent_shape

RELEASED = LuminaVideoConfig.named("MultiScaleNextDiT_2B_GQA")
LATENT = latent_shape(1248, 704, 96)
SINGLE, MULTI = FlowPreset.named("f24F96R960"), FlowPreset.named("f24F96R960-MultiScale")
TINY = LuminaVideoConfig(
    all_patch_size=(2, 2, 4),
    all_f_patch_size=(1, 2, 2),
    in_channels=4,
    dim=128,
    n_layers=3,
    n_heads=4,
    n_kv_heads=2,
    multiple_of=8,
    qk_norm=True,
    cap_feat_dim=48,
)
TINY_LATENT = (4, 16, 24)


def test_tokens_and_flops_of_the_released_model_at_4_seconds() -> None:
    tokens = {str(scale): num_tokens(LATENT, scale) for scale in RELEASED.scales}
    petaflops = {str(scale): pass_flops(RELEASED, LATENT, scale=scale) / 1e15 for scale in RELEASED.scales}
    assert tokens == {"1x2": 82_368, "2x2": 41_184, "2x4": 10_296}
    assert {scale: float(f"{flops:.2g}") for scale, flops in petaflops.items()} == {
        "1x2": 1.7,
        "2x2": 0.49,
        "2x4": 0.053,
    }
    assert petaflops["1x2"] == pytest.approx(1.74, abs=0.005)


def test_flops_of_whole_runs_of_the_released_model() -> None:
    assert run_flops(RELEASED, LATENT, preset=SINGLE) / 1e15 == pytest.approx(224, abs=0.5)
    assert run_flops(RELEASED, LATENT, preset=MULTI) / 1e15 == pytest.approx(63, abs=0.5)


@pytest.mark.parametrize("scale", TINY.scales, ids=str)
def test_flops_are_those_torch_counts(scale: Any) -> None:
    model = MultiScaleNextDiT(TINY)
    x, features = torch.randn(1, 4, *TINY_LATENT), torch.randn(1, 5, 48)
    # the fused CPU kernel is not counted by torch, nor are oneDNN's products without gradients; plain products are
    with FlopCounterMode(display=False) as texts, sdpa_kernel(SDPBackend.MATH):
        states = model.encode_text(features)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(x, torch.tensor([0.5]), states, None, torch.tensor([1.0]), scale=scale)
    assert texts.get_total_flops() == text_flops(TINY, text_tokens=5)
    assert counter.get_total_flops() == pass_flops(TINY, TINY_LATENT, scale=scale, text_tokens=5)


def test_a_run_is_its_passes_and_each_text_once_for_each_set_of_branches() -> None:
    preset = FlowPreset.from_dict({**MULTI.to_dict(), "step": 8, "cfg": [3, [0.1, 0]], "P": ["2x4", [0.1, "1x2"]]})
    counts = preset.passes(torch.float32)
    passes = sum(
        counts[name].passes * pass_flops(TINY, TINY_LATENT, scale=TINY.scale(name), text_tokens=9) for name in counts
    )
    expected = passes + 3 * text_flops(TINY, text_tokens=9)
    assert run_flops(TINY, TINY_LATENT, preset=preset, dtype=torch.float32, text_tokens=9) == expected


def test_weights_are_counted() -> None:
    assert num_parameters(RELEASED) == 1_771_364_672
    assert num_parameters(TINY) == sum(weight.numel() for weight in MultiScaleNextDiT(TINY).parameters())
    assert weight_bytes(RELEASED, torch.bfloat16) == 2 * 1_771_364_672


class PeakBytes(TorchDispatchMode):
    """The most bytes of tensors that lived at once among those made within."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, list[int]] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage.data_ptr() not in self.live:
                    self.live[storage.data_ptr()] = [0, storage.nbytes()]
                    self.now += storage.nbytes()
                self.live[storage.data_ptr()][0] += 1
                weakref.finalize(tensor, self.free, storage.data_ptr())
        self.peak = max(self.peak, self.now)
        return made

    def free(self, pointer: int) -> None:
        self.live[pointer][0] -= 1
        if not self.live[pointer][0]:
            self.now -= self.live.pop(pointer)[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_activations_are_what_a_pass_of_both_branches_takes(dtype: torch.dtype) -> None:
    model = MultiScaleNextDiT(TINY).to(dtype)
    preset = FlowPreset.from_dict({**SINGLE.to_dict(), "cfg": 3})
    x = torch.randn(2, 4, *TINY_LATENT, dtype=dtype)
    with torch.no_grad():
        states = model.encode_text(torch.randn(2, 5, 48, dtype=dtype))
        with PeakBytes() as measured:
            model(x, torch.tensor([0.5, 0.5]), states, None, torch.tensor([1.0, 2.0]), scale="1x2")
    expected = activation_bytes(TINY, TINY_LATENT, preset=preset, dtype=dtype)
    assert expected == pytest.approx(measured.peak, rel=0.06)


def test_the_largest_pass_decides_what_a_run_takes() -> None:
    guided_coarsely = FlowPreset.from_dict({**MULTI.to_dict(), "cfg": [3, [0.03, 0]]})
    by_preset = [activation_bytes(RELEASED, LATENT, preset=p, dtype=torch.bfloat16) for p in (guided_coarsely, MULTI)]
    tokens = 82_368 * (4 * 2304 + 3 * 6144) * 2
    states = 2 * 4 * 16 * 24 * 88 * 156
    assert by_preset == [tokens + states, 2 * tokens + states]


@pytest.mark.parametrize("name", ["1x2", "2x4"])
def test_a_training_step_costs_what_torch_counts(name: str) -> None:
    """Forward and backward; what of the backward is not needed (inputs of the first layers) is small."""
    size, scale = (8, 16, 24), TINY.scale(name)
    model = MultiScaleNextDiT(TINY)
    x, text = torch.randn(1, 4, *size), torch.randn(1, 9, TINY.cap_feat_dim)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(x, torch.tensor([0.3]), text, scale=scale).square().sum().backward()
    expected = training_flops(TINY, size, scale=scale, text_tokens=9)
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.05)
    frozen = training_flops(TINY, size, scale=scale, text_tokens=9, frozen=True)
    assert expected / 2 < frozen < expected


def test_checkpointed_training_keeps_inputs_and_one_block() -> None:
    kept, whole = (training_bytes(RELEASED, 2048, checkpointing=flag) for flag in (True, False))
    assert whole - kept == 23 * whole / 24 - 24 * 4 * 2304 * 2048
    assert training_bytes(RELEASED, 2048, checkpointing=False, text_tokens=256) > whole
