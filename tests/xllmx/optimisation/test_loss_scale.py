"""fp16: the scale leaves gradients as they are, a step that overflows is left out, and training goes on from both."""

import math

import pytest
import torch
from torch import nn

from xllmx.optimisation.loss_scale import LossScale


@pytest.fixture
def model() -> nn.Module:
    model = nn.Linear(3, 2)
    nn.init.constant_(model.weight, 0.5)
    return model


def stepped(scale: LossScale, model: nn.Module, loss: torch.Tensor) -> float:
    """The norm that a step of gradient descent reports."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    optimizer.zero_grad()
    scale.scaled(loss).backward()
    scale.unscale(model.parameters())
    return float(scale.step(optimizer, nn.utils.clip_grad_norm_(model.parameters(), math.inf)))


def test_a_finite_step_is_that_of_the_loss_itself(model: nn.Module) -> None:
    scale, rows = LossScale(), torch.tensor([[1.0, 2.0, 3.0]])
    expected = torch.autograd.grad(model(rows).square().sum(), list(model.parameters()))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    norm = stepped(scale, model, model(rows).square().sum())
    assert norm == pytest.approx(math.sqrt(sum(float(gradient.square().sum()) for gradient in expected)))
    for parameter, old, gradient in zip(model.parameters(), before, expected, strict=True):
        torch.testing.assert_close(parameter.detach(), old - gradient)


def test_an_overflow_moves_nothing_and_halves_the_scale(model: nn.Module) -> None:
    scale = LossScale()
    first, before = scale.state()["scale"], model.weight.detach().clone()
    assert stepped(scale, model, (model(torch.full((1, 3), 3e38)) * 1e10).sum()) == 0
    assert model.weight.equal(before)
    assert scale.state() == {"scale": first / 2, "steps_since_overflow": 0}
    other = LossScale()
    other.load(scale.state())
    assert other.state() == scale.state()


def test_the_scale_grows_after_many_good_steps(model: nn.Module) -> None:
    scale = LossScale()
    scale.load({"scale": 8.0, "steps_since_overflow": 1999})
    stepped(scale, model, model(torch.ones(1, 3)).sum())
    assert scale.state() == {"scale": 16.0, "steps_since_overflow": 2000}


def test_gradients_that_always_overflow_end_the_run(model: nn.Module) -> None:
    scale = LossScale()
    scale.load({"scale": 1.0, "steps_since_overflow": 5})
    with pytest.raises(ValueError, match=r"use trainer\.precision=bf16, or fp32"):
        stepped(scale, model, (model(torch.full((1, 3), 3e38)) * 1e10).sum())
