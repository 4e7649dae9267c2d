"""The averaged weights."""

import pytest
import torch
from torch import nn

from xllmx.optimisation.ema import WeightAverage


def test_average_follows_the_weights_with_a_rising_decay() -> None:
    model = nn.Linear(3, 2, bias=False)
    nn.init.zeros_(model.weight)
    average = WeightAverage(model, decay=0.5)
    nn.init.ones_(model.weight)
    expected = 0.0
    for step in range(12):
        average.update(model, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay)
    assert average.state["weight"].flatten().tolist() == pytest.approx([expected] * 6)


def test_updates_come_every_so_many_steps_and_need_no_rising_decay() -> None:
    model = nn.Linear(3, 2, bias=False)
    nn.init.zeros_(model.weight)
    average, rising = (WeightAverage(model, 0.9, every=10, warmup=warmup) for warmup in (False, True))
    nn.init.ones_(model.weight)
    for step in range(19):
        average.update(model, step)
        rising.update(model, step)
    assert average.state["weight"].flatten().tolist() == pytest.approx([0.1] * 6)
    assert rising.state["weight"].flatten().tolist() == pytest.approx([0.9] * 6)
    average.update(model, 19)
    assert average.state["weight"].flatten().tolist() == pytest.approx([0.19] * 6)


def test_the_model_gets_its_own_weights_back() -> None:
    model = nn.Linear(3, 2)
    average = WeightAverage(model, decay=0.9)
    own = nn.init.ones_(model.weight).detach().clone()
    with average.applied(model):
        assert torch.equal(model.weight, average.state["weight"])
    assert torch.equal(model.weight, own)


def test_average_is_fp32_whatever_the_weights() -> None:
    model = nn.Linear(3, 2).to(torch.bfloat16)
    average = WeightAverage(model, decay=0.9)
    average.update(model, 0)
    assert {value.dtype for value in average.state.values()} == {torch.float32}
