"""Arithmetic of generation against what it claims to count: torch's FLOP counter, passes, caches, parameters."""

import dataclasses
import math

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lumos.lumos1.config import LumosConfig, SamplerConfig
from lumos.lumos1.model import linear
from lumos.lumos1.model.cache import KVCache
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling.cost import (
    Generation,
    activation_bytes,
    cache_bytes,
    generation_flops,
    num_parameters,
    weight_bytes,
)
from lumos.lumos1.sampling.decode import generate
from lumos.lumos1.sampling.noise import GeneratorNoise
from lumos.lumos1.sampling.request import ClipRequest
from lumos.lumos1.sampling.settings import Settings

SETTINGS = Settings(
    width=96,
    height=64,
    num_frames=9,
    fps=4,
    duration=2,
    sampler=SamplerConfig(num_steps=4, guidance_scale=1.0),
)
HEADER = 3


@pytest.fixture(autouse=True)
def _products_that_torch_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither oneDNN's products nor the fused attention of the CPU are counted; plain ones are."""
    monkeypatch.setattr(linear, "_HAS_ONEDNN", False)


def counted(model: LumosForCausalLM, settings: Settings, *, prompt: int, given: int = 0) -> tuple[int, int]:
    """FLOPs that torch counts, and passes that the decoder counts, of one clip."""
    codes = torch.zeros(1, given, *settings.grid, dtype=torch.long)
    request = ClipRequest(
        prompt_ids=[torch.arange(20, 20 + prompt)],
        grid=settings.grid,
        num_latent_frames=settings.num_latent_frames,
        fps=settings.fps,
        duration=settings.duration,
        sampler=settings.sampler,
        noise=[GeneratorNoise(1)],
        given=codes if given else None,
    )
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        made = generate(model, request)
    return counter.get_total_flops(), int(made.model_calls[0])


@pytest.mark.parametrize("given", [0, 1])
def test_flops_of_a_clip_are_those_torch_counts(
    tiny_model: LumosForCausalLM, tiny_config: LumosConfig, given: int
) -> None:
    flops, passes = counted(tiny_model, SETTINGS, prompt=9, given=given)
    clip = Generation(settings=SETTINGS, num_text_tokens=[9 + 1 + HEADER], num_given=given)
    assert generation_flops(tiny_config, clip) == pytest.approx(flops, rel=0.01)
    assert clip.num_passes == passes == 4 * (3 - given) + 2


def test_guidance_runs_both_branches_and_the_head_once(tiny_model: LumosForCausalLM, tiny_config: LumosConfig) -> None:
    guided = dataclasses.replace(SETTINGS, sampler=SamplerConfig(num_steps=4, guidance_scale=3.0, later_steps=0.5))
    flops, passes = counted(tiny_model, guided, prompt=9)
    clip = Generation(settings=guided, num_text_tokens=[9 + 1 + HEADER, HEADER])
    # the shorter text is padded to the longer one, which is computed too
    assert generation_flops(tiny_config, clip) == pytest.approx(flops, rel=0.04)
    assert clip.num_passes == passes == 2 * (4 + 2 + 2 + 2)


def test_an_image_keeps_nothing() -> None:
    image = dataclasses.replace(SETTINGS, num_frames=1, fps=1, duration=1)
    assert Generation(settings=image, num_text_tokens=[20, 3]).num_passes == 8


def test_bytes_are_those_of_weights_and_caches(tiny_model: LumosForCausalLM, tiny_config: LumosConfig) -> None:
    inner, rest = num_parameters(tiny_config)
    assert inner + rest == sum(weight.numel() for weight in tiny_model.parameters())
    assert weight_bytes(tiny_config, torch.bfloat16) == 2 * (inner + rest)
    assert weight_bytes(tiny_config, torch.bfloat16, eight_bits=True) == inner + 2 * rest
    clip = Generation(settings=SETTINGS, num_text_tokens=[20, 3])
    cache = KVCache(tiny_config, batch_size=2, capacity=20 + 3 * clip.frame_tokens)
    assert cache_bytes(tiny_config, clip, torch.float32) == math.prod(cache._shape) * tiny_config.num_hidden_layers * 4


def test_logits_or_the_feed_forward_layer_decide_what_a_pass_takes(tiny_config: LumosConfig) -> None:
    clip = Generation(settings=SETTINGS, num_text_tokens=[20, 3])
    few, wide = 8 * 12 * 50 * 4 * 3, 2 * (8 * 13 + 4) * 3 * (48 + 80) * 4
    assert activation_bytes(tiny_config, clip, torch.float32) == max(few, wide) == wide
    assert activation_bytes(tiny_config, clip, torch.float32, batch_size=5) == 5 * wide
