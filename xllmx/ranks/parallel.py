"""Activation checkpointing and compilation of a model, unit by unit; the model's own code knows nothing of them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from xllmx.ranks.parallel_config import ParallelConfig as ParallelConfig

_KEPT = ("mm", "addmm", "bmm", "_scaled_dot_product", "_flash_attention", "_efficient_attention", "flex_attention")
"""Operators (by the start of their name) whose results selective checkpointing keeps: matrix products, attention."""

_MOST_COMPILATIONS = 64
"""Of one function, torch's 8 being few: batches and packed rows, a batch of one, with and without masks, of one size
and of any, each in training and in evaluation."""


def parallelize(model: nn.Module, units: Sequence[nn.Module], config: ParallelConfig) -> nn.Module:
    """Compile, then checkpoint activations of, each unit in place; return the model. Names stay as they are.

    In this order, because the attention of a unit is called outside of what is compiled, and a region that is
    checkpointed inside a compilation must be compiled whole or not at all: the other way round nothing was.
    """
    if config.compile:
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _MOST_COMPILATIONS)
    for unit in units:
        # attributes over the method: unlike a wrapping module they leave the names in the state dict alone
        if config.compile:
            unit.forward = torch.compile(unit.forward)
        if config.activation_checkpointing:
            unit.forward = partial(checkpoint, unit.forward, **_checkpoint_options(config))
    return model


def _checkpoint_options(config: ParallelConfig) -> dict[str, Any]:
    if config.activation_checkpointing != "selective":
        return {"use_reentrant": False}
    contexts: Callable[[], Any] = partial(create_selective_checkpoint_contexts, _keeps)
    return {"use_reentrant": False, "context_fn": contexts}


def _keeps(context: Any, operator: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    name = operator.name().removeprefix("aten::") if isinstance(operator, torch._ops.OpOverload) else str(operator)
    kept = name.startswith(_KEPT)
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE
