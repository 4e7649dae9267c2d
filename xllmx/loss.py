"""Linear head and cross entropy together, in chunks of rows: the whole logits [M, V] never exist.

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

_CHUNK_ROWS = {"cpu": 256, "cuda": 2048}
"""Rows at a time where none is asked: on a CPU the logits should stay in reach, on a GPU the products be large."""


@dataclass(frozen=True, kw_only=True)
class LossOutput:
    """A loss as a sum and what it is the sum over, so that means are taken over the global batch and nowhere else."""

    sum: Tensor
    """Scalar, differentiable, fp32."""
    count: int | Tensor
    """Number of targets in the sum."""
    metrics: dict[str, tuple[Quantity, Quantity]] = field(default_factory=dict)
    """Name -> (sum, count) of quantities to report as a mean; detached."""
    row_losses: Tensor | None = None
    """Cross entropy of each row [M], unweighted, detached, fp32."""


def chunked_cross_entropy(
    hidden: Float[Tensor, "M D"],
    weight: Float[Tensor, "V D"],
    targets: Int[Tensor, " M"],
    *,
    classes: slice | None = None,
    chunk: int | None = None,
    z_loss: float = 0.0,
    focal_gamma: float = 0.0,
    row_weights: Float[Tensor, " M"] | None = None,
) -> LossOutput:
    """Returns sum_i w_i (1 - p_i)^gamma CE_i + z_loss * sum_i logsumexp_i^2 for logits = hidden @ weight^T.

    Matrix products run in autocast's dtype where autocast is on, otherwise in the dtype of `hidden`; logsumexp, loss
    and the accumulation of the weight's gradient are fp32 in any case.

    Args:
        hidden: rows that carry loss, and only those.
        weight: the head.
        targets: class of each row, in [0, V), or from 0 in `classes`.
        classes: consecutive rows of `weight` that are the vocabulary; None is all. The same as a slice of the weight
            given as such, but for the memory of the slice's gradient.
        chunk: rows at a time; None chooses by device. Changes memory and speed, not the result.
        z_loss: weight of the squared log-normaliser (not scaled by `row_weights`).
        focal_gamma: 0 is cross entropy; 2 is the usual focal loss.
        row_weights: w; None is 1 for each. The count stays M.

    Returns:
        A LossOutput with metrics `ce`, `accuracy` and, where asked for, `z_loss`, and the row losses. M = 0 gives 0 and
        zero gradients.

    Raises:
        ValueError: `chunk` below 1, or a negative `focal_gamma`.
    """
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1 row, or None to choose by device")
    if focal_gamma < 0:
        raise ValueError(f"focal_gamma is {focal_gamma}; it must be 0 (cross entropy) or more")
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    options = _Options(
        classes=classes or slice(None),
        chunk=chunk or _CHUNK_ROWS.get(device, 1024),
        z_loss=z_loss,
        gamma=focal_gamma,
        dtype=dtype,
    )
    total, rows, lse, correct = _ChunkedCrossEntropy.apply(hidden, weight, targets, row_weights, options)
    count = targets.numel()
    metrics: dict[str, tuple[Quantity, Quantity]] = {
        "ce": (rows.sum(), count),
        "accuracy": (correct.sum(), count),
    }
    if z_loss:
        metrics["z_loss"] = (lse.square().sum(), count)
    return LossOutput(sum=total, count=count, metrics=metrics, row_losses=rows)


@dataclass(frozen=True, kw_only=True)
class _Options:
    classes: slice
    chunk: int
    z_loss: float
    gamma: float
    dtype: torch.dtype


class _ChunkedCrossEntropy(torch.autograd.Function):
    """(hidden, weight, targets, row weights) -> (loss, row losses, logsumexp, correct); only loss has a gradient."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, row_weights: Tensor | None, options: _Options
    ) -> tuple[Tensor, ...]:
        with torch.autocast(hidden.device.type, enabled=False):
            compute_weight = weight.detach()[options.classes].to(options.dtype)
            grad_hidden = torch.zeros_like(hidden, dtype=torch.float32) if ctx.needs_input_grad[0] else None
            grad_weight = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
            results = torch.zeros(4, targets.numel(), dtype=torch.float32, device=hidden.device)
            for start in range(0, targets.numel(), options.chunk):
                rows = slice(start, start + options.chunk)
                chunk_hidden = hidden.detach()[rows].to(options.dtype)
                logits = (chunk_hidden @ compute_weight.t()).float()
                weights = None if row_weights is None else row_weights[rows].float()
                grad_logits, results[:, rows] = _loss_and_gradient(logits, targets[rows], weights, options)
                grad_logits = grad_logits.to(options.dtype)
                if grad_hidden is not None:
                    grad_hidden[rows] = (grad_logits @ compute_weight).float()
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
    logits: Tensor, targets: Tensor, row_weights: Tensor | None, options: _Options
) -> tuple[Tensor, Tensor]:
    """Returns d loss / d logits [m, V], in the memory of `logits`, and (loss, ce, logsumexp, correct) [4, m]."""
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
    if row_weights is not None:
        loss, slope = loss * row_weights[:, None], slope * row_weights[:, None]
    # d ce / d logits = softmax - onehot;  d lse^2 / d logits = 2 lse softmax
    gradient = exponentials.mul_((slope + 2 * options.z_loss * lse) / normaliser)
    gradient.scatter_add_(-1, index, -slope)
    loss = loss + options.z_loss * lse.square()
    correct = (target_logit >= peak).float()
    return gradient, torch.cat([loss, ce, lse, correct], dim=-1).t()


def _accumulate(grad_weight: Tensor, grad_logits: Tensor, hidden: Tensor) -> None:
    """Returns nothing; adds grad_logits^T @ hidden to the fp32 gradient of the weight."""
    if hidden.dtype == torch.float32:
        grad_weight.addmm_(grad_logits.t(), hidden)
    else:
        grad_weight.add_(grad_logits.t() @ hidden)
