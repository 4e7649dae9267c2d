"""Memory of the training state: by hand, and for a real model and its optimiser."""

from typing import Any

import pytest
import torch
from torch import nn

from xllmx.optimisation.optim import OptimConfig, build_optimizer
from xllmx.ranks.accounting import Sharding, StateBytes, state_bytes

CUT = Sharding(shards=4)


def test_one_gpu_keeps_everything() -> None:
    state = state_bytes([10, 30, 20], trainable=60, averaged=True)
    assert state == StateBytes(weights=240, optimizer=480, gradients=240, average=240, working=120, held=0)
    assert state.total == 1320
    assert state_bytes([10, 30, 20], trainable=60, precision="fp32").working == 0


def test_shards_keep_their_share_and_two_gathered_units() -> None:
    state = state_bytes([10, 30, 21], trainable=61, sharding=CUT)
    assert (state.weights, state.optimizer, state.gradients, state.average) == (64, 128, 64, 0)
    assert state.working == 2 * (30 + 21) + 6 * 30


def test_units_that_stay_gathered_are_all_there_at_once() -> None:
    kept = state_bytes([10, 30, 21], trainable=61, sharding=Sharding(shards=4, gathers_again=False))
    assert kept.working == 2 * 61 + 6 * 30


def test_one_shard_is_gathered_and_holds_gradients_as_several_do() -> None:
    """A copy of the state on each GPU is the same FSDP, on a mesh of one shard."""
    state = state_bytes([10, 30, 21], trainable=61, sharding=Sharding(shards=1), accumulates=True)
    assert (state.weights, state.working, state.held) == (4 * 61, 2 * (30 + 21) + 6 * 30, 4 * 61)


def test_gradients_are_held_whole_over_the_batches_of_a_step_where_weights_are_cut() -> None:
    """FSDP sums them over the shards in the last backward of a step, and adds them up in fp32 until then."""
    sharded = state_bytes([10, 30, 21], trainable=61, sharding=CUT, accumulates=True)
    assert sharded.held == 4 * 61
    assert sharded.total == state_bytes([10, 30, 21], trainable=61, sharding=CUT).total + 4 * 61
    assert state_bytes([10, 30, 21], trainable=7, sharding=CUT, accumulates=True).held == 4 * 7
    assert state_bytes([10, 30, 21], trainable=61, accumulates=True).held == 0


def test_frozen_weights_have_no_gradient_and_no_moments() -> None:
    state = state_bytes([10, 30], trainable=4)
    assert (state.weights, state.optimizer, state.gradients) == (160, 32, 16)


def test_it_is_what_torch_allocates() -> None:
    model = nn.Linear(7, 5)
    optimizer = build_optimizer(model, OptimConfig())
    model(torch.ones(3, 7)).sum().backward()
    optimizer.step()
    parameters = list(model.parameters())
    moments = [t for s in optimizer.state.values() for name, t in s.items() if name != "step"]
    state = state_bytes([40], trainable=40, precision="fp32")
    assert state.weights == sum(p.nbytes for p in parameters)
    assert state.gradients == sum(p.grad.nbytes for p in parameters if p.grad is not None)
    assert state.optimizer == sum(t.nbytes for t in moments)


@pytest.mark.parametrize(
    ("options", "message"), [({"sharding": Sharding(shards=0)}, "0 shards"), ({"trainable": 11}, "11 trainable")]
)
def test_impossible_divisions_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        state_bytes([10], **{"trainable": 10, **options})
