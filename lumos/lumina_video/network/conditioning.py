"""The conditioning vector: time, motion and the mean of the text (README section 2.4)."""

import math
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

_FREQUENCIES = 128
_LONGEST_PERIOD = 10000.0


class ScalarEmbedder(nn.Module):
    """W2 silu(W0 sinusoid(value * factor) + b0) + b2, of the time or of the motion score of each item."""

    def __init__(self, width: int, *, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.mlp = nn.Sequential(nn.Linear(2 * _FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, values: Float[Tensor, "B"]) -> Float[Tensor, "B D"]:
        """Return the embeddings. The product with the factor is made in the dtype of `values`, sinusoids in fp32."""
        weight = cast(nn.Linear, self.mlp[0]).weight
        return self.mlp(sinusoid(values * self.factor).to(weight.dtype))


def sinusoid(values: Float[Tensor, "B"]) -> Float[Tensor, "B D"]:
    """Return cos, then sin, of each value times D/2 = 128 frequencies, in fp32.

    Frequency i is 10000^(-i / 128). Compared with many a sinusoidal embedding, cosines come first.
    """
    indices = torch.arange(_FREQUENCIES, dtype=torch.float32, device=values.device)
    frequencies = torch.exp(-math.log(_LONGEST_PERIOD) / _FREQUENCIES * indices)
    angles = values.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def motion_embedding(embedder: ScalarEmbedder, motion: Float[Tensor, "B"]) -> Float[Tensor, "B D"]:
    """Return the embeddings of motion scores; exactly 0 where a score is negative, which means unspecified."""
    embedded = embedder(motion)
    return torch.where((motion >= 0)[:, None], embedded, torch.zeros_like(embedded))
