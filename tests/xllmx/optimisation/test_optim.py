"""Schedules against the released numbers; groups of AdamW."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from xllmx.optimisation.optim import (
    OptimConfig,
    build_optimizer,
    learning_rate,
    set_learning_rate,
    warmup_constant,
    warmup_cosine,
)


@pytest.mark.parametrize(
    ("name", "lr", "min_lr", "warmup", "epochs"),
    [
        ("min_lr_5e-5", 5e-5, 5e-5, 0.0025, 100.0),
        ("min_lr_0", 5e-5, 0.0, 0.0025, 100.0),
        ("defaults_lr2e-5_warm0.03_ep1", 2e-5, 0.0, 0.03, 1.0),
    ],
)
def test_cosine_by_epochs_equals_the_release(
    golden: Path, name: str, lr: float, min_lr: float, warmup: float, epochs: float
) -> None:
    table = json.loads((golden / "schedules.json").read_text())["lr"][name]
    for epoch, expected in table.items():
        factor = warmup_cosine(float(epoch), warmup=warmup, total=epochs, floor=min_lr / lr)
        assert lr * factor == pytest.approx(expected, rel=1e-9, abs=1e-18), epoch


def test_schedule_counts_in_steps_or_in_epochs() -> None:
    by_steps = OptimConfig(lr=1.0, min_lr=0.2, warmup_steps=50)
    by_epochs = OptimConfig(lr=1.0, min_lr=0.2, warmup_epochs=0.5)
    for step in (0, 25, 50, 75, 300, 999):
        rates = [learning_rate(config, step, max_steps=1000, steps_per_epoch=100.0) for config in (by_steps, by_epochs)]
        assert rates[0] == rates[1]
    assert learning_rate(by_steps, 25, max_steps=1000, steps_per_epoch=1.0) == 0.5
    assert learning_rate(by_steps, 525, max_steps=1000, steps_per_epoch=1.0) == pytest.approx(0.6)
    assert learning_rate(by_steps, 1200, max_steps=1000, steps_per_epoch=1.0) == pytest.approx(0.2)


def test_constant_stays_after_the_warm_up() -> None:
    assert [warmup_constant(step, warmup=4) for step in (0, 1, 4, 400)] == [0.0, 0.25, 1.0, 1.0]
    assert learning_rate(OptimConfig(lr=3.0, schedule="constant"), 0, max_steps=9, steps_per_epoch=1.0) == 3.0


def test_stable_then_a_line_to_the_floor() -> None:
    config = OptimConfig(lr=2.0, min_lr=0.2, schedule="wsd", decay_share=0.25, warmup_steps=10)
    rates = [learning_rate(config, step, max_steps=400, steps_per_epoch=1.0) for step in (0, 5, 10, 300, 350, 400, 500)]
    assert rates == pytest.approx([0.0, 1.0, 2.0, 2.0, 1.1, 0.2, 0.2])
    with pytest.raises(ValueError, match=r"decay_share is 0\.0"):
        OptimConfig(schedule="wsd", decay_share=0.0)


def test_every_parameter_decays_unless_norms_are_spared() -> None:
    model = nn.Sequential(nn.Linear(3, 2, bias=False), nn.LayerNorm(2))
    released = build_optimizer(model, OptimConfig(weight_decay=0.1))
    assert [(group["weight_decay"], len(group["params"])) for group in released.param_groups] == [(0.1, 3)]
    spared = build_optimizer(model, OptimConfig(weight_decay=0.1, decay_norms=False))
    assert [(group["weight_decay"], len(group["params"])) for group in spared.param_groups] == [(0.1, 1), (0.0, 2)]


def test_norms_with_a_row_a_group_of_heads_are_norms_too() -> None:
    model = nn.Linear(3, 2, bias=False)
    model.q_norm = nn.Linear(4, 2)
    spared = build_optimizer(model, OptimConfig(weight_decay=0.1, decay_norms=False)).param_groups
    assert [(group["weight_decay"], group["params"]) for group in spared] == [
        (0.1, [model.weight]),
        (0.0, [model.q_norm.weight, model.q_norm.bias]),
    ]


def test_learning_rate_reaches_every_group() -> None:
    optimizer = build_optimizer(nn.Linear(3, 2), OptimConfig(decay_norms=False))
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def test_frozen_parameters_are_left_out() -> None:
    model = nn.Linear(3, 2)
    model.weight.requires_grad_(False)
    assert build_optimizer(model, OptimConfig()).param_groups[0]["params"] == [model.bias]
    model.bias.requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameter"):
        build_optimizer(model, OptimConfig())


def test_fused_adamw_equals_the_plain_one() -> None:
    weights = [torch.nn.Parameter(torch.arange(6.0).view(2, 3)) for _ in range(2)]
    module = nn.ParameterList([weights[0]])
    plain = torch.optim.AdamW([weights[1]], lr=5e-5, betas=(0.9, 0.95), weight_decay=0.1, fused=False)
    for optimizer, weight in ((build_optimizer(module, OptimConfig()), weights[0]), (plain, weights[1])):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    torch.testing.assert_close(weights[0], weights[1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 0.0}, "optim.lr is 0.0"),
        ({"lr": 1e-4, "min_lr": 1e-3}, "optim.min_lr is 0.001"),
        ({"warmup_steps": 1, "warmup_epochs": 0.5}, "are both set"),
        ({"warmup_steps": -1}, "optim.warmup_steps is -1; it must be a whole number of at least 0"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OptimConfig(**settings)
