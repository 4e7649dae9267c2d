"""The sampler: golden runs and roundings, and what holds for every run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lumos.lumina_video.flow import FlowPreset, noise_for, sample_latents, time_grid
from tests.lumos.lumina_video.golden import noise, text

SHAPE = (2, 3, 4, 6, 10)
TEXT = text("golden/flow", [5, 3], padded_to=6, width=7)
RUNS = ["short", "short_norenorm", "single_scale_nocfg", "f24F96R960-MultiScale"]


def preset_of(**changes: Any) -> FlowPreset:
    values = {"P": "1x2", "step": 6, "ts": 4.0, "renorm": -1, "cfg": 0, "motion": 6.0, "negMotion": -1}
    return FlowPreset.from_dict({**values, **changes})


def drift(x: Tensor, t: Tensor, text: Tensor, mask: Tensor, motion: Tensor, *, scale: str) -> Tensor:
    """v = 2 t - x / 2, computed in fp32 of what it is handed."""
    return 2 * t.float()[:, None, None, None, None] - 0.5 * x.float()


def sample(model: Callable[..., Tensor], start: Tensor, preset: FlowPreset, **more: Any) -> Tensor:
    return sample_latents(model, start, preset=preset, text=TEXT[0], text_mask=TEXT[1], **more)


def states_of(model: Callable[..., Tensor], start: Tensor, preset: FlowPreset, **more: Any) -> list[Tensor]:
    states: list[Tensor] = []
    last = sample(model, start, preset, **more, on_step=lambda index, state: states.insert(index, state))
    assert torch.equal(states[-1], last)
    return states


@pytest.mark.parametrize("name", ["bf16", "fp32"])
def test_golden_roundings_at_each_step(golden_lumina: Path, name: str) -> None:
    stored = np.load(golden_lumina / "sampling.npz")[f"cast_{name}"]
    z = noise("golden/cast/z", (1, 2, 3, 4, 5)).to({"bf16": torch.bfloat16, "fp32": torch.float32}[name])
    states = [z.float()]
    prompt = text("golden/cast", [5], padded_to=6, width=7)
    sample_latents(
        drift,
        z,
        preset=preset_of(ts=8.0, step=12),
        text=prompt[0],
        text_mask=prompt[1],
        on_step=lambda index, state: states.append(state),
    )
    np.testing.assert_array_equal(torch.stack(states).numpy(), stored)


@pytest.mark.parametrize("name", RUNS)
def test_golden_runs(golden_lumina: Path, golden_dit: Callable[[str], nn.Module], name: str) -> None:
    run = json.loads((golden_lumina / "sampling.json").read_text())["runs"][name]
    stored = np.load(golden_lumina / "sampling.npz")
    model, items = golden_dit(run["config"]), run["items"]
    features, mask = text(
        run["tag"], run["text_lengths"], padded_to=run["text_padded_to"], width=model.config.cap_feat_dim
    )
    z = noise(f"{run['tag']}/z", (items, *run["latents"]))
    states = [z]
    sample_latents(
        model,
        z,
        preset=FlowPreset.from_dict(run["preset"]),
        text=features[:items],
        text_mask=mask[:items],
        negative_text=features[items:],
        negative_mask=mask[items:],
        on_step=lambda index, state: states.append(state),
    )
    norms = torch.stack(states).double().flatten(2).norm(dim=2)
    np.testing.assert_allclose(states[-1], stored[f"run_{name}_final"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(states[1], stored[f"run_{name}_after1"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(norms, stored[f"run_{name}_state_norms"], rtol=1e-5)


def test_the_state_after_each_step_is_handed_on_and_kept() -> None:
    preset = preset_of(step=6)
    start = noise("z", SHAPE)
    grid, state = time_grid(6, 4.0), start
    states = states_of(drift, start, preset)
    assert len(states) == preset.num_steps == 5
    for index, handed in enumerate(states):
        state = state + (grid[index + 1] - grid[index]) * (2 * grid[index] - 0.5 * state)
        torch.testing.assert_close(handed, state)


def test_constant_velocity_leads_from_noise_to_data_whatever_the_grid() -> None:
    start, data = noise("z", SHAPE), noise("data", SHAPE)
    for preset in (preset_of(step=2), preset_of(step=9, ts=24.0), preset_of(step=9, ts=None)):
        torch.testing.assert_close(sample(lambda *args, scale: data - start, start, preset), data)


def test_the_negative_text_is_not_used_where_nothing_guides() -> None:
    calls: list[int] = []

    def counted(x: Tensor, *arguments: Tensor, scale: str) -> Tensor:
        calls.append(len(x))
        return drift(x, *arguments, scale=scale)

    start, broken = noise("z", SHAPE), torch.full((1, 4, 7), torch.nan)
    alone = sample(counted, start, preset_of())
    mask = torch.ones(1, 4, dtype=torch.bool)
    assert torch.equal(sample(counted, start, preset_of(), negative_text=broken, negative_mask=mask), alone)
    assert set(calls) == {2}


def test_an_item_is_the_same_alone_and_in_any_batch(golden_dit: Callable[[str], nn.Module]) -> None:
    model = golden_dit("B")
    preset = preset_of(P=["2x4", [0.2, "1x2"]], renorm=1.5, cfg=[3, [0.5, 0]])
    width = model.config.cap_feat_dim
    prompts, negative = text("p", [5, 2, 7], padded_to=9, width=width), text("n", [3], padded_to=4, width=width)
    shape = (model.config.in_channels, 2, 8, 12)
    start = torch.stack([noise_for(seed, shape) for seed in (7, 8, 9)])

    def run(items: list[int]) -> Tensor:
        texts = {"text": prompts[0][items], "text_mask": prompts[1][items]}
        negatives = {"negative_text": negative[0], "negative_mask": negative[1]}
        return sample_latents(model, start[items], preset=preset, **texts, **negatives)

    together = run([0, 1, 2])
    for item in range(3):
        torch.testing.assert_close(run([item])[0], together[item], rtol=0, atol=2e-5)
    torch.testing.assert_close(run([2, 0]), together[[2, 0]], rtol=0, atol=2e-5)


def test_a_bf16_model_computes_in_bf16_around_an_fp32_state() -> None:
    seen: set[torch.dtype] = set()

    class Drift(nn.Linear):
        def forward(self, x: Tensor, t: Tensor, text: Tensor, mask: Tensor, motion: Tensor, *, scale: str) -> Tensor:
            seen.update((x.dtype, t.dtype, motion.dtype))
            return drift(x, t, text, mask, motion, scale=scale).to(x.dtype)

    start = noise("z", SHAPE)
    states = states_of(Drift(2, 3).bfloat16(), start, preset_of())
    assert seen == {torch.bfloat16}
    assert {state.dtype for state in states} == {torch.float32}
    assert not torch.equal(states[-1], states[-1].bfloat16().float())
    assert torch.equal(states[-1], states_of(drift, start.bfloat16(), preset_of())[-1])


def test_several_negatives_are_given_as_sequences() -> None:
    def first_feature(x: Tensor, t: Tensor, text: Tensor, mask: Tensor, motion: Tensor, *, scale: str) -> Tensor:
        return text[:, 0, 0][:, None, None, None, None].expand_as(x)

    start = noise("z", SHAPE)
    features = [torch.full((1, length, 7), value) for length, value in ((2, 0.25), (4, -0.5))]
    masks = [torch.ones(1, length, dtype=torch.bool) for length in (2, 4)]
    latents = sample(first_feature, start, preset_of(cfg=[[3], [2]]), negative_text=features, negative_mask=masks)
    positive = TEXT[0][:, 0, 0][:, None, None, None, None]
    torch.testing.assert_close(latents, start + positive + 3 * (positive - 0.25) + 2 * (positive + 0.5))
    with pytest.raises(ValueError, match="2 negative texts and 1 negative masks"):
        sample(first_feature, start, preset_of(cfg=[[3], [2]]), negative_text=features, negative_mask=masks[0])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_velocity_that_is_not_finite_stops_the_run_at_its_step(value: float) -> None:
    states: list[Tensor] = []

    def breaking(x: Tensor, t: Tensor, *arguments: Any, scale: str) -> Tensor:
        velocity = torch.ones_like(x)
        velocity[1, 2, 3, 4, 5] = value if t[0] > 0.3 else 1
        return velocity

    with pytest.raises(ValueError, match=r"velocity at step 4 \(t = 0.5\) is not finite"):
        sample(breaking, noise("z", SHAPE), preset_of(), on_step=lambda index, state: states.append(state))
    assert len(states) == 4


def test_no_gradient_is_recorded() -> None:
    weight = torch.ones((), requires_grad=True)
    latents = sample(lambda x, *args, scale: x * weight, noise("z", SHAPE), preset_of())
    assert not latents.requires_grad
    assert not latents.is_inference()


def test_noise_is_a_function_of_seed_and_shape() -> None:
    torch.manual_seed(1)
    first = noise_for(3, (4, 2, 6, 5))
    torch.manual_seed(2)
    assert torch.equal(first, noise_for(3, (4, 2, 6, 5)))
    assert not torch.equal(first, noise_for(4, (4, 2, 6, 5)))
    assert first.dtype == torch.float32
    assert noise_for(0, (16, 8, 32, 24)).std().item() == pytest.approx(1, abs=0.02)
