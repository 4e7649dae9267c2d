"""AdamW and the learning rate: schedules are pure functions of progress, so there is no schedule state to save."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from xllmx.optimisation.muon import Muon, matrices_of
from xllmx.optimisation.optim_config import OptimConfig as OptimConfig


def warmup_cosine(progress: float | int, *, warmup: float | int, total: float | int, floor: float | int = 0.0) -> float:
    """Return the factor on the learning rate: 0 to 1 along a line, then half a cosine down to `floor`, then `floor`.

    Args:
        progress: how far training is, in any unit (steps, epochs); 0 at the first step.
        warmup: length of the line, in the same unit.
        total: end of the cosine, in the same unit.
        floor: the factor at the end.
    """
    if progress < warmup:
        return progress / warmup
    done = min((progress - warmup) / max(total - warmup, 1e-12), 1.0)
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * done))


def warmup_constant(progress: float | int, *, warmup: float | int) -> float:
    """Return the factor on the learning rate: 0 to 1 along a line, then 1."""
    return progress / warmup if progress < warmup else 1.0


def warmup_stable_decay(
    progress: float | int, *, warmup: float | int, total: float | int, share: float, floor: float | int = 0.0
) -> float:
    """Return the factor on the learning rate: 0 to 1 along a line, 1, then a line down to `floor` at `total`.

    Args:
        progress: how far training is, in any unit (steps, epochs); 0 at the first step.
        warmup: length of the first line, in the same unit.
        total: end of the last line, in the same unit.
        share: of `total`, the length of the last line.
        floor: the factor at the end.
    """
    left = min(max(total - progress, 0.0) / max(total * share, 1e-12), 1.0)
    return warmup_constant(progress, warmup=warmup) * (floor + (1.0 - floor) * left)


def learning_rate(config: OptimConfig, step: int, *, max_steps: int, steps_per_epoch: float) -> float:
    """Return the learning rate of the step (from 0), with the warm-up in steps or epochs as configured."""
    warmup = config.warmup_steps or (config.warmup_epochs or 0.0) * steps_per_epoch
    if config.schedule == "constant":
        return config.lr * warmup_constant(step, warmup=warmup)
    if config.schedule == "wsd":
        return config.lr * warmup_stable_decay(
            step, warmup=warmup, total=max_steps, share=config.decay_share, floor=config.floor
        )
    return config.lr * warmup_cosine(step, warmup=warmup, total=max_steps, floor=config.floor)


def build_optimizer(model: nn.Module, config: OptimConfig, *, units: Sequence[nn.Module] = ()) -> torch.optim.AdamW:
    """Return the optimiser of the trainable parameters, fused where all are on a device that has the kernel.

    Args:
        model: whose parameters.
        config: which optimiser, with its settings.
        units: the blocks, whose matrices `name=muon` moves.

    Raises:
        ValueError: a model in which nothing is trainable, or Muon where weights are cut over the ranks.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError("the model has no trainable parameter; nothing to optimise")
    matrices = matrices_of(units) if config.name == "muon" else []
    moved = {id(matrix) for matrix in matrices}
    others = [parameter for parameter in parameters if id(parameter) not in moved]
    norms = (
        set() if config.decay_norms else {id(p) for name, p in model.named_parameters() if _is_norm_or_bias(name, p)}
    )
    spared = [parameter for parameter in others if id(parameter) in norms]
    decayed = [parameter for parameter in others if id(parameter) not in norms]
    kinds = ((decayed, config.weight_decay), (spared, 0.0), (matrices, config.weight_decay))
    groups: list[dict[str, Any]] = [{"params": part, "weight_decay": decay} for part, decay in kinds if part]
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
    settings: dict[str, Any] = {"lr": config.lr, "betas": config.betas, "eps": config.eps, "fused": fused}
    if config.name == "adamw":
        return torch.optim.AdamW(groups, **settings)
    return Muon([{**group, "orthogonal": group["params"] is matrices} for group in groups], **settings)


def _is_norm_or_bias(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter is a scale or an offset; those of query/key norms are matrices, so names count too."""
    return parameter.ndim <= 1 or "norm" in name or name.endswith("bias")


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group of the optimiser."""
    for group in optimizer.param_groups:
        group["lr"] = lr
