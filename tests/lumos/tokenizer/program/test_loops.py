"""Loops of strangers' programs: those that have an end before they run pass, all others are refused."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lumos.tokenizer.program.loading import load_program
from tests.lumos.tokenizer.program.test_loading import CPU, save


class While(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        while x.sum() < 1e9:
            x = x + 0.0
        return x


class Endless(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        turns = 0
        while True:
            turns += 1
        return x * turns


class OfValues(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        for _ in range(int(x.sum())):
            x = x + 1
        return x


class OfAnExpandedSize(nn.Module):
    """An axis of 10^15 that takes no memory."""

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(x[:1].expand(1_000_000_000_000_000, 1).size(0)):
            x = x + 1
        return x


class Trillions(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        for _ in range(1_000_000_000_000):
            x = x + 1
        return x


class InEachOther(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        for _ in range(5000):
            for _ in range(5000):
                x = x + 1
        return x


def turns_of(x: Tensor, turns: int) -> Tensor:
    for _ in range(turns):
        x = x + 1
    return x


class Given(nn.Module):
    """The number of turns comes from a caller, grown on the way."""

    def forward(self, x: Tensor) -> Tensor:
        turns = 1
        for _ in range(50):
            turns = turns * 3
        return turns_of(x, turns)


class CallsInLoops(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        for _ in range(5000):
            x = turns_of(x, 5000)
        return x


ENDLESS = {
    While: "may turn without end",
    Endless: "more than 10000 turns",
    OfValues: "may turn without end",
    OfAnExpandedSize: "may turn without end",
    Trillions: "more than 10000 turns",
    InEachOther: "more than 1000000 operations",
    Given: "may turn without end",
    CallsInLoops: "more than 1000000 operations",
}


@pytest.mark.parametrize("kind", ENDLESS, ids=lambda kind: kind.__name__)
def test_a_loop_without_a_known_end_is_refused(tmp_path: Path, kind: type) -> None:
    with pytest.raises(ValueError, match=ENDLESS[kind]) as caught:
        load_program(save(kind(), tmp_path / "a.jit"), CPU)
    assert "\n" not in str(caught.value)


class Bounded(nn.Module):
    """Loops as torch's own layers have them: over dimensions, lists, constants, and counts that a caller gives."""

    def forward(self, x: Tensor) -> Tensor:
        for dim in range(1, x.dim()):
            x = x.narrow(dim, 0, 1)
        for size in x.shape:
            x = x + size
        return turns_of(turns_of(x, 3), x.dim() - 1)


def test_loops_over_dimensions_and_lists_pass(tmp_path: Path) -> None:
    x = torch.zeros(2, 3, 5)
    assert torch.equal(load_program(save(Bounded(), tmp_path / "a.jit"), CPU)(x), Bounded()(x))
