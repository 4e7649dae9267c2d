"""Muon: the momentum of each weight matrix is made orthogonal before it is applied (Jordan et al. 2024).

Where AdamW moves a matrix mostly along few directions, an orthogonal update moves all of them alike; the bundled model
learns as much from images in two thirds of the steps. The matrices are those of linear layers and convolutions inside
the blocks, a convolution's being its output channels by all that each of them sees; embeddings, head, norms and biases
stay with AdamW. Updates are scaled to the size of AdamW's, 0.2 sqrt(max(m, n))
(Liu et al. 2025), so that learning rate and weight decay mean the same for both.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from xllmx.optimisation.precision import multiplies_bf16

_MOMENTUM = 0.95
_ADAMW_RMS = 0.2  # of an entry of AdamW's update, in learning rates
_QUINTIC = (
    3.4445,
    -4.7750,
    2.0315,
)  # Jordan et al.: pushes singular values from (0, 1] to about 1, fast at the small end
_ITERATIONS = 5
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Muon(torch.optim.AdamW):
    """AdamW whose groups with `orthogonal=True` hold matrices that Muon moves."""

    def __init__(self, groups: Sequence[dict[str, Any]], **settings: Any) -> None:
        """`groups` as for AdamW, each with the entry `orthogonal`; `settings` are AdamW's."""
        super().__init__(groups, **settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every parameter that has a gradient; return the closure's loss, if there is one."""
        groups = self.param_groups
        self.param_groups = [group for group in groups if not group["orthogonal"]]
        try:
            loss = super().step(closure)
        finally:
            self.param_groups = groups
        for group in groups:
            if group["orthogonal"]:
                self._move_matrices(group)
        return loss

    def _move_matrices(self, group: dict[str, Any]) -> None:
        """Move the matrices of a group; those of one shape, transposed or not, are made orthogonal together."""
        by_shape: dict[tuple[int, ...], list[Tensor]] = {}
        for matrix in group["params"]:
            if matrix.grad is not None:
                by_shape.setdefault(tuple(sorted(matrix.flatten(1).shape)), []).append(matrix)
        for (_, longer), matrices in by_shape.items():
            updates = orthogonal(torch.stack([_wide(self._momentum(matrix).flatten(1)) for matrix in matrices]))
            size = group["lr"] * _ADAMW_RMS * math.sqrt(longer)
            for matrix, update in zip(matrices, updates, strict=True):
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                turned = update if matrix.shape[0] == update.shape[0] else update.T
                matrix.add_(turned.reshape(matrix.shape), alpha=-size)

    def _momentum(self, matrix: Tensor) -> Tensor:
        """Take the gradient into the running mean; return it with Nesterov momentum."""
        assert matrix.grad is not None
        state = self.state[matrix]
        if not state:
            state["step"] = torch.zeros((), device=matrix.device)  # AdamW looks for it when a state is loaded
            state["momentum"] = torch.zeros_like(matrix)
        state["step"] += 1
        state["momentum"].lerp_(matrix.grad, 1 - _MOMENTUM)
        return torch.lerp(matrix.grad, state["momentum"], _MOMENTUM)


def orthogonal(matrices: Float[Tensor, "B m n"]) -> Float[Tensor, "B m n"]:
    """Return matrices, m <= n, with the singular vectors of the given ones and singular values near 1 (0.7 to 1.2).

    Newton-Schulz iteration, in bf16 where the device multiplies in it: exact singular values are not needed, only that
    none is lost. (Replicas on processors of which only some do would drift apart.) A matrix of zeros stays one.
    """
    a, b, c = _QUINTIC
    x = matrices.bfloat16() if multiplies_bf16(matrices.device) else matrices.float()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.to(matrices.dtype)


def matrices_of(units: Sequence[nn.Module], *, cut: bool = False) -> list[nn.Parameter]:
    """Return the trainable weights of the linear layers and convolutions inside the units: what Muon moves.

    Raises:
        ValueError: there are none, or weights are cut over the ranks, as they are or, with `cut`, will be.
    """
    layers = [module for unit in units for module in unit.modules() if isinstance(module, _LAYERS)]
    weights = [cast(nn.Parameter, layer.weight) for layer in layers]
    matrices = [weight for weight in weights if weight.requires_grad]
    if cut or not matrices or any(isinstance(matrix, DTensor) for matrix in matrices):
        raise ValueError(
            "optim.name is muon, which needs whole matrices of blocks; use parallel.sharding=none with the native "
            "engine, or optim.name=adamw"
        )
    return matrices


def _wide(matrix: Tensor) -> Tensor:
    return matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
