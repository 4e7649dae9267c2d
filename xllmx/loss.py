"""Linear head and cross entropy together, in chunks of targets: the whole logits [M, V] never exist.

The gradient with respect to logits is known as soon as the loss is, so it is computed in the forward, chunk by chunk,
and multiplied into the gradients of `hidden` and `weight` at once; the backward only scales them.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

Quantity = Tensor | float | int
"""A number on the device or off it."""

_CHUNK_TARGETS = {"cpu": 256, "cuda": 2048}
"""Targets at a time where `chunk` is not given: few on a CPU, so that their logits stay in its caches."""


@dataclass(frozen=True, kw_only=True)
class LossOutput:
    """A loss as a sum and what it is the sum over, so that means are taken over the global batch and nowhere else."""

    sum: Tensor
    """Scalar, differentiable, fp32."""
    count: int | Tensor
    """Number of targets in the sum."""
    metrics: dict[str, tuple[Quantity, Quantity]] = field(default_factory=dict)
    """Name -> (sum, count) of quantities to report as a mean; detached."""
    target_losses: Tensor | None = None
    """Cross entropy of each target [M], unweighted, detached, fp32."""


def chunked_cross_entropy(
    hidden: Float[Tensor, "M D"],
    weight: Float[Tensor, "V D"],
    targets: Int[Tensor, " M"],
    *,
    classes: slice | None = None,
    chunk: int | None = None,
    z_loss: float = 0.0,
    focal_gamma: float = 0.0,
    target_weights: Float[Tensor, " M"] | None = None,
) -> LossOutput:
    """Return sum_i w_i (1 - p_i)^gamma CE_i + z_loss * sum_i logsumexp_i^2 for logits = hidden @ weight^T.

    Matrix products run in autocast's dtype where autocast is on, otherwise in the dtype of `hidden`; logsumexp, loss
    and the accumulation of the weight's gradient are fp32 in any case.

    Args:
        hidden: states at the M tokens that carry loss, and only those.
        weight: the head, a row for each class.
        targets: class of each, in [0, V), or counted from the first of `classes`.
        classes: consecutive rows of `weight` that are the vocabulary; None is all. Gives the same as passing that slice
            of the weight, without a gradient as large as the slice in memory.
        chunk: targets at a time; None chooses by device. Changes memory and speed, not the result.
        z_loss: weight of the squared log-normaliser (not scaled by `target_weights`).
        focal_gamma: 0 is cross entropy; 2 is the usual focal loss.
        target_weights: w; None is 1 for each. The count stays M.

    Returns:
        A LossOutput with metrics `ce`, `accuracy` and, where asked for, `z_loss`, and the loss of each target. M = 0
        gives 0 and zero gradients.

    Raises:
        ValueError: `chunk` below 1, or a negative `focal_gamma`.
    """
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1 target, or None to choose by device")
    if focal_gamma < 0:
        raise ValueError(f"focal_gamma is {focal_gamma}; it must be 0 (cross entropy) or more")
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    options = _Options(
        classes=classes or slice(None),
        chunk=chunk or _CHUNK_TARGETS.get(device, 1024),
        z_loss=z_loss,
        gamma=focal_gamma,
        dtype=dtype,
    )
    total, ce, lse, correct = _ChunkedCrossEntropy.apply(hidden, weight, targets, target_weights, options)
    count = targets.numel()
    metrics: dict[str, tuple[Quantity, Quantity]] = {
        "ce": (ce.sum(), count),
        "accuracy": (correct.sum(), count),
    }
    if z_loss:
        metrics["z_loss"] = (lse.square().sum(), count)
    return LossOutput(sum=total, count=count, metrics=metrics, target_losses=ce)


@dataclass(frozen=True, kw_only=True)
class _Options:
    classes: slice
    chunk: int
    z_loss: float
    gamma: float
    dtype: torch.dtype


class _ChunkedCrossEntropy(torch.autograd.Function):
    """(hidden, weight, targets, weights of targets) -> (loss, ce, logsumexp, correct); only loss has a gradient."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, target_weights: Tensor | None, options: _Options
    ) -> tuple[Tensor, ...]:
        with torch.autocast(hidden.device.type, enabled=False):
            compute_weight = weight.detach()[options.classes].to(options.dtype)
            grad_hidden = torch.zeros_like(hidden, dtype=torch.float32) if ctx.needs_input_grad[0] else None
            grad_weight = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
            results = torch.zeros(4, targets.numel(), dtype=torch.float32, device=hidden.device)
            for start in range(0, targets.numel(), options.chunk):
                chunk = slice(start, start + options.chunk)
                chunk_hidden = hidden.detach()[chunk].to(options.dtype)
                logits = (chunk_hidden @ compute_weight.t()).float()
                weights = None if target_weights is None else target_weights[chunk].float()
                grad_logits, results[:, chunk] = _loss_and_gradient(logits, targets[chunk], weights, options)
                grad_logits = grad_logits.to(options.dtype)
                if grad_hidden is not None:
                    grad_hidden[chunk] = (grad_logits @ compute_weight).float()
                if grad_weight is not None:
                    _accumulate(grad_weight[options.classes], grad_logits, chunk_hidden)
        ctx.gradients = grad_hidden, grad_weight
        ctx.dtypes, ctx.classes = (hidden.dtype, weight.dtype), options.classes
        losses, ce, lse, correct = results
        ctx.mark_non_differentiable(ce, lse, correct)
        return losses.sum(), ce, lse, correct

    @staticmethod
    def backward(ctx: Any, grad_sum: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        assert ctx.gradients is not None, "the gradients of this loss went to an earlier backward"
        (grad_hidden, grad_weight), ctx.gradients = ctx.gradients, None
        # In place: a scaled copy of the head's gradient would lie beside it while all activations are there.
        for gradient, rows in ((grad_hidden, slice(None)), (grad_weight, ctx.classes)):
            if gradient is not None:
                gradient[rows].mul_(grad_sum)
        scaled = [
            None if gradient is None else gradient.to(dtype)
            for gradient, dtype in zip((grad_hidden, grad_weight), ctx.dtypes, strict=True)
        ]
        return (*scaled, None, None, None)


def _loss_and_gradient(
    logits: Tensor, targets: Tensor, target_weights: Tensor | None, options: _Options
) -> tuple[Tensor, Tensor]:
    """Return d loss / d logits [m, V], in the memory of `logits`, and (loss, ce, logsumexp, correct) [4, m]."""
    index = targets.unsqueeze(-1)
    peak = logits.amax(dim=-1, keepdim=True)
    target_logit = logits.gather(-1, index)
    exponentials = logits.sub_(peak).exp_()
    normaliser = exponentials.sum(dim=-1, keepdim=True)
    lse = peak + normaliser.log()
    ce = lse - target_logit
    loss, slope = ce, torch.ones_like(ce)  # slope = d loss / d ce
    if options.gamma:
        missed = -torch.expm1(-ce).clamp(max=0.0)  # 1 - p of the target
        focus = missed**options.gamma
        slope = focus + options.gamma * missed.clamp(min=1e-12) ** (options.gamma - 1) * (1 - missed) * ce
        loss = focus * ce
    if target_weights is not None:
        loss, slope = loss * target_weights[:, None], slope * target_weights[:, None]
    # d ce / d logits = softmax - onehot;  d lse^2 / d logits = 2 lse softmax
    gradient = exponentials.mul_((slope + 2 * options.z_loss * lse) / normaliser)
    gradient.scatter_add_(-1, index, -slope)
    loss = loss + options.z_loss * lse.square()
    correct = (target_logit >= peak).float()
    return gradient, torch.cat([loss, ce, lse, correct], dim=-1).t()


def _accumulate(grad_weight: Tensor, grad_logits: Tensor, hidden: Tensor) -> None:
    """Add grad_logits^T @ hidden to the fp32 gradient of the weight."""
    if hidden.dtype == torch.float32:
        grad_weight.addmm_(grad_logits.t(), hidden)
    else:
        grad_weight.add_(grad_logits.t() @ hidden)
