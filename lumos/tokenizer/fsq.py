"""Finite scalar quantisation: values to integers, integers to codes, and back.

Compiled to TorchScript, so plain torch only: no jaxtyping, no einops.
"""

import torch
from torch import Tensor, nn


class FSQ(nn.Module):
    """Finite scalar quantisation (Mentzer et al. 2023): each dimension is rounded to one of its levels."""

    half_width: Tensor
    offset: Tensor
    shift: Tensor
    levels: Tensor
    basis: Tensor

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        sizes = torch.tensor(levels, dtype=torch.float32)
        half_width = (sizes - 1) * (1 + 1e-3) / 2
        offset = (sizes % 2 == 0).float() * 0.5
        basis = torch.cumprod(torch.tensor([1, *levels[:-1]], dtype=torch.int64), dim=0)
        self.register_buffer("half_width", half_width, persistent=False)
        self.register_buffer("offset", offset, persistent=False)
        self.register_buffer("shift", torch.atanh(offset / half_width), persistent=False)
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.int64), persistent=False)
        self.register_buffer("basis", basis, persistent=False)

    def quantise(self, z: Tensor) -> Tensor:
        """Values z [..., dims] rounded to integers from -(level // 2) up; gradients pass straight through."""
        bounded = torch.tanh(z.float() + self.shift) * self.half_width - self.offset
        return bounded + (bounded.round() - bounded).detach()

    def codes(self, z: Tensor) -> Tensor:
        """Integer codes [...] of z [..., dims]."""
        return self.number(self.quantise(z))

    def number(self, quantised: Tensor) -> Tensor:
        """Integer codes [...] of quantised integers [..., dims]."""
        return ((quantised.detach().round().long() + self.levels // 2) * self.basis).sum(dim=-1)

    def normalise(self, quantised: Tensor) -> Tensor:
        """Quantised integers as values in [-1, 1]."""
        return quantised / (self.levels // 2)

    def values(self, codes: Tensor) -> Tensor:
        """Values in [-1, 1], [..., dims], of integer codes [...]."""
        digits = torch.div(codes.unsqueeze(-1), self.basis, rounding_mode="floor") % self.levels
        return self.normalise((digits - self.levels // 2).float())
