"""Guidance: its golden values, its rules, and that branches in one batch equal separate calls."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lumos.lumina_video.preset import FlowPreset
from lumos.lumina_video.sampling.guided_field import GuidedField, guide
from tests.lumos.lumina_video.golden import noise, text

WIDTH = 28
SHAPE = (2, 3, 4, 8, 12)


def preset_of(**changes: Any) -> FlowPreset:
    values = {"P": "1x2", "step": 5, "ts": 2, "renorm": -1, "cfg": 3, "motion": 6.0, "negMotion": [2.0, [0.5, -1]]}
    return FlowPreset.from_dict({**values, **changes})


class Recorded:
    """A field of a plain function that keeps what it was called with."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(self, x: Tensor, t: Tensor, text: Tensor, mask: Tensor, motion: Tensor, *, scale: str) -> Tensor:
        self.calls.append({"x": x, "t": t, "text": text, "mask": mask, "motion": motion, "scale": scale})
        mean = (text * mask[..., None]).sum((1, 2)) / mask.sum(1)
        return x * mean.to(x)[:, None, None, None, None] + motion.to(x)[:, None, None, None, None]


@pytest.mark.parametrize("precision", ["guided", "not"])
def test_golden_guidance(golden_lumina: Path, precision: str) -> None:
    cases = json.loads((golden_lumina / "sampling.json").read_text())["cfg"]
    stored = np.load(golden_lumina / "sampling.npz")
    chosen = [case for case in cases if (case["branches_run"] > 1) == (precision == "guided")]
    assert len(chosen) > 2
    for case in chosen:
        items, scales = case["items"], [scale for scale in case["scales"] if scale > 0]
        velocities = [
            torch.stack([noise(f"{case['noise_prefix']}/v{k * items + i}", case["shape"]) for i in range(items)])
            for k in range(case["branches_run"])
        ]
        guided = guide(velocities[0], velocities[1:], scales, renorm=case["renorm"])
        np.testing.assert_allclose(guided, stored[f"cfg_{case['name']}"], rtol=0, atol=1e-6, err_msg=case["name"])


def test_a_branch_of_no_guidance_is_left_out_whatever_it_holds() -> None:
    positive, negative, broken = noise("p", SHAPE), noise("n", SHAPE), torch.full(SHAPE, torch.nan)
    alone = guide(positive, [negative], [1.5], renorm=2)
    assert torch.equal(guide(positive, [broken, negative, None], [0.0, 1.5, -2.0], renorm=2), alone)
    torch.testing.assert_close(guide(positive, [negative], [1.5], renorm=0), 2.5 * positive - 1.5 * negative)


def test_the_norm_is_limited_for_each_item_by_itself() -> None:
    positive, negative = noise("p", SHAPE), noise("n", SHAPE)
    negative[1] = positive[1] * 0.9  # the second item is hardly guided
    guided = guide(positive, [negative], [4.0], renorm=1.5)
    free = guide(positive, [negative], [4.0], renorm=-1)
    norms = [v.flatten(1).norm(dim=1) for v in (guided, free, positive)]
    assert norms[0][0].item() == pytest.approx(1.5 * norms[2][0].item(), rel=1e-5)
    torch.testing.assert_close(guided[1], free[1])
    torch.testing.assert_close(guided[0] / norms[0][0], free[0] / norms[1][0])
    torch.testing.assert_close(guide(positive, [], [], renorm=0.5), 0.5 * positive)


def test_a_velocity_of_nothing_stays_nothing() -> None:
    nothing = torch.zeros(SHAPE)
    assert torch.equal(guide(nothing, [nothing], [3.0], renorm=2), nothing)


def test_guidance_of_bf16_is_computed_in_fp32() -> None:
    positive, negative = noise("p", SHAPE).bfloat16(), noise("n", SHAPE).bfloat16()
    guided = guide(positive, [negative], [20], renorm=2)
    torch.testing.assert_close(guided, guide(positive.float(), [negative.float()], [20], renorm=2), rtol=0, atol=0)


def test_every_branch_that_guides_needs_its_velocity() -> None:
    positive, negative = noise("p", SHAPE), noise("n", SHAPE)
    with pytest.raises(ValueError, match="1 negative velocities and 2 guidance scales"):
        guide(positive, [negative], [1.0, 2.0], renorm=2)
    with pytest.raises(ValueError, match="is None, but its guidance scale is 2"):
        guide(positive, [negative, None], [1.0, 2.0], renorm=2)


def test_a_mask_of_ones_is_a_mask_of_true() -> None:
    field = Recorded()
    features, mask = text("p", [5, 3], padded_to=6, width=WIDTH)
    state = noise("state", SHAPE)
    guided = GuidedField(field, preset_of(cfg=0), prompts=(features, mask.long()), negatives=[], noise=state)
    guided(state, torch.tensor(0.25))
    assert torch.equal(field.calls[0]["mask"], mask)


def test_branches_of_one_batch_equal_separate_calls(golden_dit: Callable[[str], nn.Module]) -> None:
    model = golden_dit("B")
    preset = preset_of(cfg=[[3.0], [1.0, [0.5, 0]]], P="2x2")
    state = noise("state", (2, model.config.in_channels, 4, 8, 12))
    width = model.config.cap_feat_dim
    prompts = text("prompts", [5, 3], padded_to=6, width=width)
    negatives = [text("first", [2, 4], padded_to=4, width=width), text("second", [7], padded_to=9, width=width)]
    field = GuidedField(model, preset, prompts=prompts, negatives=negatives, noise=state)
    for t, scales, score in ((0.25, (3.0, 1.0), 2.0), (0.75, (3.0,), -1.0)):
        times, scores = torch.full((2,), t), torch.full((2,), score)
        with torch.no_grad():
            positive = model(state, times, *prompts, torch.full((2,), 6.0), scale="2x2")
            others = [
                model(state, times, features.expand(2, -1, -1), mask.expand(2, -1), scores, scale="2x2")
                for features, mask in negatives[: len(scales)]
            ]
            expected = guide(positive, others, scales, renorm=-1)
            torch.testing.assert_close(field(state, torch.tensor(t)), expected, rtol=1e-5, atol=2e-5)


def test_a_field_gets_prompts_first_then_each_negative() -> None:
    field = Recorded()
    state = noise("state", SHAPE)
    prompts, negative = text("p", [5, 3], padded_to=6, width=WIDTH), text("n", [2], padded_to=8, width=WIDTH)
    GuidedField(field, preset_of(), prompts=prompts, negatives=[negative], noise=state)(state, torch.tensor(0.25))
    (call,) = field.calls
    assert torch.equal(call["x"], torch.cat([state, state]))
    assert call["t"].tolist() == [0.25] * 4
    assert call["motion"].tolist() == [6.0, 6.0, 2.0, 2.0]
    assert call["mask"].sum(1).tolist() == [5, 3, 2, 2]
    assert torch.equal(call["text"][:2, :6], prompts[0])
    assert torch.equal(call["text"][2:], negative[0].expand(2, -1, -1))
    assert call["scale"] == "1x2"


def test_no_negative_is_computed_where_guidance_is_0() -> None:
    field = Recorded()
    state = noise("state", SHAPE)
    prompts, negative = text("p", [5, 3], padded_to=6, width=WIDTH), text("n", [2], padded_to=8, width=WIDTH)
    guided = GuidedField(field, preset_of(cfg=[3, [0.5, 0]]), prompts=prompts, negatives=[negative], noise=state)
    guided(state, torch.tensor(0.25))
    guided(state, torch.tensor(0.5))
    assert [len(call["x"]) for call in field.calls] == [4, 2]
    assert torch.equal(field.calls[1]["text"], prompts[0])


def test_what_holds_is_asked_at_the_rounded_time() -> None:
    field = Recorded()
    prompts = text("p", [5, 3], padded_to=6, width=WIDTH)
    t = torch.tensor(0.1999)  # 0.2002 in bf16
    for dtype in (torch.float32, torch.bfloat16):
        state = noise("state", SHAPE).to(dtype)
        guided = GuidedField(field, preset_of(cfg=[3, [0.2, 0]]), prompts=prompts, negatives=[prompts], noise=state)
        guided(state.float(), t)
    assert [len(call["x"]) for call in field.calls] == [4, 2]


def test_texts_are_made_once_for_each_set_of_branches(golden_dit: Callable[[str], nn.Module]) -> None:
    model = golden_dit("B")
    made: list[int] = []

    class Counted(nn.Module):
        config = model.config

        def encode_text(self, features: Tensor, mask: Tensor) -> Any:
            made.append(len(features))
            return model.encode_text(features, mask)

        def forward(self, *arguments: Any, scale: str) -> Tensor:
            assert arguments[3] is None
            return model(*arguments, scale=scale)

    state = noise("state", (2, model.config.in_channels, 4, 8, 12))
    prompts = text("p", [5, 3], padded_to=6, width=model.config.cap_feat_dim)
    field = GuidedField(Counted(), preset_of(cfg=[3, [0.5, 0]]), prompts=prompts, negatives=[prompts], noise=state)
    with torch.no_grad():
        for t in (0.0, 0.25, 0.5, 0.75):
            field(state, torch.tensor(t))
    assert made == [4, 2]


def test_texts_that_do_not_fit_are_refused_before_anything_runs(golden_dit: Callable[[str], nn.Module]) -> None:
    state = noise("state", SHAPE)
    prompts = text("p", [5, 3], padded_to=6, width=WIDTH)
    three = text("n", [2, 2, 2], padded_to=8, width=WIDTH)
    field = Recorded()
    with pytest.raises(
        ValueError, match=r"0 negative texts, but cfg of the preset has 1, and guides 4 steps.*preset with cfg 0"
    ):
        GuidedField(field, preset_of(), prompts=prompts, negatives=[], noise=state)
    with pytest.raises(ValueError, match="2 negative texts, but cfg of the preset has 1"):
        GuidedField(field, preset_of(), prompts=prompts, negatives=[prompts, prompts], noise=state)
    with pytest.raises(ValueError, match=r"text \[3, 8, 28\] with mask \[3, 8\] for 2 items"):
        GuidedField(field, preset_of(), prompts=prompts, negatives=[three], noise=state)
    with pytest.raises(ValueError, match=r"with mask \[3, 8\]"):
        GuidedField(field, preset_of(), prompts=(prompts[0], three[1]), negatives=[prompts], noise=state)
    assert field.calls == []


def test_a_scale_the_network_lacks_is_refused_before_anything_runs(golden_dit: Callable[[str], nn.Module]) -> None:
    model = golden_dit("B")
    prompts = text("p", [5, 3], padded_to=6, width=model.config.cap_feat_dim)
    for scales, shape, fault in (
        (["1x2", ["0.9", "3x2"]], (4, 8, 12), "no step function"),
        (["1x2", [0.9, "3x2"]], (4, 8, 12), "scale is 3x2"),
        (["1x2", [0.9, "2x4"]], (4, 8, 10), "10 columns"),
        (["1x2", [0.9, "2x2"]], (3, 8, 12), "3 frames"),
    ):
        state = noise("state", (2, model.config.in_channels, *shape))
        with pytest.raises(ValueError, match=fault):
            GuidedField(model, preset_of(P=scales), prompts=prompts, negatives=[prompts], noise=state)
