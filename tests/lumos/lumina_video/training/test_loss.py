"""The loss of a velocity: golden values, golden gradients of the network, and its two terms."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lumos.lumina_video.scale import Scale
from lumos.lumina_video.training.loss import interpolate, velocity_loss
from tests.lumos.lumina_video.golden import noise, text

STUBS = ["video_novd", "video_vd1", "image_f2", "image_f1"]
NETWORKS = ["video_1x2", "video_2x4", "image_1x2", "image_2x2"]
SHAPE = (3, 2, 4, 5)


def case_of(folder: Path, kind: str, name: str) -> dict[str, Any]:
    (case,) = [c for c in json.loads((folder / "loss.json").read_text())[kind] if c["name"] == name]
    return case


@pytest.mark.parametrize("name", STUBS)
def test_golden_losses_of_given_velocities(golden_lumina: Path, name: str) -> None:
    case = case_of(golden_lumina, "stub", name)
    stored = np.load(golden_lumina / "loss.npz")
    for i, size in enumerate(case["sizes"]):
        latents, start, velocity = (
            noise(f"{case['noise_prefix']}/{part}_{i}", (case["channels"], *size)) for part in ("x1", "x0", "v")
        )
        first = bool(case["first_frame_only"] and case["first_frame_only"][i])
        terms = velocity_loss(velocity, start, latents, cosine_weight=case["vd_weight"], first_frame_only=first)
        expected = [case[key][i] for key in ("loss", "mse", "cosine_term")]
        assert [term.item() for term in terms] == pytest.approx(expected, abs=1e-5)
        x_t = interpolate(start, latents, t=torch.tensor(case["t"][i]))
        np.testing.assert_allclose(x_t, stored[f"loss_{name}_xt{i}"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_golden_losses_and_gradients_of_the_network(
    golden_lumina: Path, golden_dit: Callable[[str], nn.Module], name: str
) -> None:
    case = case_of(golden_lumina, "dit", name)
    model = deepcopy(golden_dit(case["config"]))
    repeated = case["repeated_to"] or 1
    latents = [
        noise(f"{case['tag']}/x1_{i}", (model.config.in_channels, *size)).repeat(1, repeated, 1, 1)
        for i, size in enumerate(case["sizes"])
    ]
    starts = [noise(f"{case['tag']}/x0_{i}", item.shape) for i, item in enumerate(latents)]
    times = torch.tensor(case["t"])
    features, mask = text(
        case["tag"], case["text_lengths"], padded_to=case["text_padded_to"], width=model.config.cap_feat_dim
    )
    x_t = [interpolate(*pair, t=t) for *pair, t in zip(starts, latents, times, strict=True)]
    velocities = model(x_t, times, features, mask, torch.tensor(case["motion"]), scale=str(Scale.parse(case["scale"])))
    terms = [
        velocity_loss(*item, cosine_weight=case["vd_weight"], first_frame_only=case["image"])
        for item in zip(velocities, starts, latents, strict=True)
    ]
    for key, values in zip(("loss", "mse", "cosine_term"), zip(*terms, strict=True), strict=True):
        assert [value.item() for value in values] == pytest.approx(case[key], abs=1e-5)
    batch_loss = torch.stack([loss for loss, _, _ in terms]).mean()
    assert batch_loss.item() == pytest.approx(case["batch_loss"], abs=1e-5)

    batch_loss.backward()
    gradients = {key: weight.grad for key, weight in model.named_parameters() if weight.grad is not None}
    norms = {key: gradient.norm().item() for key, gradient in gradients.items()}
    assert norms == pytest.approx(case["grad_norms"], rel=1e-4, abs=1e-6)
    assert {key for key, _ in model.named_parameters()} - norms.keys() == set(case["no_grad"])


def terms_of(velocity: Tensor, target: Tensor, **more: Any) -> list[float]:
    return [term.item() for term in velocity_loss(velocity, torch.zeros(SHAPE), target, **more)]


def test_mse_sees_lengths_and_cosine_sees_directions() -> None:
    target = noise("u", SHAPE)
    square = target.square().mean().item()
    assert terms_of(target, target, cosine_weight=1.0) == pytest.approx([0, 0, 0], abs=1e-6)
    assert terms_of(3 * target, target, cosine_weight=1.0) == pytest.approx([4 * square, 4 * square, 0], abs=1e-5)
    assert terms_of(-target, target, cosine_weight=0.5) == pytest.approx([4 * square + 1, 4 * square, 2], rel=1e-5)


def test_a_weight_of_0_leaves_the_direction_to_the_log() -> None:
    loss, mse, cosine = terms_of(noise("v", SHAPE), noise("u", SHAPE), cosine_weight=0.0)
    assert loss == mse
    assert 0.5 < cosine < 1.5


def test_only_the_first_frame_counts_where_it_is_asked() -> None:
    velocity, target = noise("v", SHAPE), noise("u", SHAPE)
    changed = velocity.clone()
    changed[:, 1:] = torch.inf
    first = terms_of(velocity, target, cosine_weight=1.0, first_frame_only=True)
    assert terms_of(changed, target, cosine_weight=1.0, first_frame_only=True) == first
    assert first[1] == pytest.approx((velocity - target)[:, 0].square().mean().item())


def test_a_velocity_of_nothing_has_a_loss_and_a_gradient() -> None:
    velocity = torch.zeros(SHAPE, requires_grad=True)
    loss, _, cosine = velocity_loss(velocity, torch.zeros(SHAPE), noise("u", SHAPE), cosine_weight=1.0)
    loss.backward()
    assert cosine.item() == 1
    assert velocity.grad is not None
    assert velocity.grad.isfinite().all()


def test_the_loss_of_bf16_is_computed_in_fp32() -> None:
    parts = [noise(name, SHAPE).bfloat16() for name in ("v", "x0", "x1")]
    half, full = (velocity_loss(*items, cosine_weight=1.0) for items in (parts, [part.float() for part in parts]))
    assert {term.dtype for term in half} == {torch.float32}
    assert [term.item() for term in half] == [term.item() for term in full]


def test_t_is_rounded_to_the_type_of_the_latents_before_x_t_is_formed() -> None:
    start, latents, t = noise("x0", SHAPE), noise("x1", SHAPE), torch.tensor(0.997)
    halves = start.bfloat16(), latents.bfloat16()
    assert interpolate(*halves, t=t).dtype == torch.bfloat16
    assert torch.equal(interpolate(*halves, t=t), interpolate(*halves, t=t.bfloat16()))
    torch.testing.assert_close(interpolate(start, latents, t=t), 0.997 * latents + 0.003 * start)
