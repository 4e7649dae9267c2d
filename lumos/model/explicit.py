"""Attention in plain products, part by part, with its gradient written out: bf16 training on a CPU.

There the fused kernel has no bf16 products, and autograd would add up the gradients of the keys in a buffer for every
part that sees them. Measured 1.3 (one frame) and 1.8 (four frames) times faster than autograd's, forward and backward.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Part(NamedTuple):
    """Queries that see the same keys, but for a mask."""

    queries: slice
    keys: slice
    mask: Tensor | None
    """True where the query may see the key, Bool [B or 1, 1, queries or 1, keys]; None: everywhere."""


def explicit_attention(
    q: Float[Tensor, "B N L E"], k: Float[Tensor, "B N L E"], v: Float[Tensor, "B N L E"], parts: Sequence[Part]
) -> Float[Tensor, "B N L E"]:
    """Return softmax(q k^T / sqrt(E)) v; the queries of the parts together are all columns.

    The shares of every part are kept for the backward, so the parts should be short.
    """
    return _ExplicitAttention.apply(q, k, v, parts)


class _ExplicitAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, parts: Sequence[Part]) -> Tensor:
        batch = q.shape[:2]
        q, k, v = (q * q.shape[-1] ** -0.5).flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
        output, shares = torch.empty_like(q), []
        for queries, keys, mask in parts:
            scores = torch.bmm(q[:, queries], k[:, keys].transpose(1, 2))
            if mask is not None:
                scores.unflatten(0, batch).masked_fill_(~mask, -torch.inf)
            shares.append(scores.softmax(dim=-1))
            output[:, queries] = torch.bmm(shares[-1], v[:, keys])
        ctx.save_for_backward(q, k, v, *shares)
        ctx.parts, ctx.batch = parts, batch
        return output.unflatten(0, batch)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *shares = ctx.saved_tensors
        grad_output = gradients[0].flatten(0, 1)
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for (queries, keys, _), share in zip(ctx.parts, shares, strict=True):
            own = grad_output[:, queries]
            grad_v[:, keys].baddbmm_(share.transpose(1, 2), own)
            grad_share = torch.bmm(own, v[:, keys].transpose(1, 2))
            grad_scores = torch._softmax_backward_data(grad_share, share, -1, share.dtype)
            grad_q[:, queries] = torch.bmm(grad_scores, k[:, keys])
            grad_k[:, keys].baddbmm_(grad_scores.transpose(1, 2), q[:, queries])
        grad_q *= q.shape[-1] ** -0.5
        return *(gradient.unflatten(0, ctx.batch) for gradient in (grad_q, grad_k, grad_v)), None
