"""What is done to a model between building and training it, unit by unit; the model's own code knows nothing of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True, kw_only=True)
class ParallelConfig:
    """How the units of a model (`TrainTask.shard_units`, usually its blocks) are run."""

    activation_checkpointing: bool = False
    """Keep only the inputs of each unit and compute the inside again in the backward: less memory, more time."""
    compile: bool = False
    """torch.compile each unit; worth it on a GPU, needs a C++ compiler on a CPU."""


def parallelize(model: nn.Module, units: Sequence[nn.Module], config: ParallelConfig) -> nn.Module:
    """Returns the model, its units changed in place: activation checkpointing, then compile; names stay as they are."""
    for unit in units:
        if config.activation_checkpointing:
            # an attribute over the method: unlike a wrapping module it leaves the names in the state dict alone
            unit.forward = partial(checkpoint, unit.forward, use_reentrant=False)
        if config.compile:
            unit.compile()
    return model
