"""Where the chance of sampling comes from: one source a clip, so that a clip is the same alone and in any batch."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from xllmx.rng import generator_for

_BLOCK = 256
_TINY = 1e-20


@runtime_checkable
class NoiseSource(Protocol):
    """Where a clip's randomness comes from. `frame` counts latent frames from 0, given ones included."""

    def draw(
        self, logits: Float[Tensor, "M V"], *, frame: int, step: int, positions: Int[Tensor, "M"]
    ) -> Int[Tensor, "M"]:
        """Return a code for each of these still masked positions (row-major 0..H*W-1), drawn from softmax(logits)."""
        ...

    def uniform(self, *, frame: int, step: int, num_positions: int) -> Float[Tensor, "N"]:
        """Return numbers in (0, 1), one a position; the confidence noise is `gumbel` of them."""
        ...


@dataclass(frozen=True)
class GeneratorNoise:
    """Noise from a seed: every number is a function of (seed, frame, step, position), whatever the batch."""

    seed: int

    def draw(
        self, logits: Float[Tensor, "M V"], *, frame: int, step: int, positions: Int[Tensor, "M"]
    ) -> Int[Tensor, "M"]:
        """Return exact draws from softmax(logits): its inverse distribution function at one uniform a row."""
        shares = self.shares(frame=frame, step=step, num_positions=int(positions.max()) + 1)
        return inverse_cdf(logits, shares.to(logits.device)[positions])

    def shares(self, *, frame: int, step: int, num_positions: int) -> Float[Tensor, "N"]:
        """Return the number in [0, 1) at which `draw` takes the code of each position, in fp64 on the CPU."""
        generator = generator_for(self.seed, step, rank=frame, stream="draw")
        return torch.rand(num_positions, generator=generator, dtype=torch.float64)

    def uniform(self, *, frame: int, step: int, num_positions: int) -> Float[Tensor, "N"]:
        """Return uniforms in (0, 1)."""
        generator = generator_for(self.seed, step, rank=frame, stream="confidence")
        return torch.rand(num_positions, generator=generator).clamp(_TINY, 1 - 2**-24)


@dataclass(frozen=True)
class NoNoise:
    """No noise: the likeliest code, and confidence as it is."""

    def draw(
        self, logits: Float[Tensor, "M V"], *, frame: int, step: int, positions: Int[Tensor, "M"]
    ) -> Int[Tensor, "M"]:
        """Return the likeliest code of each row."""
        return logits.argmax(dim=-1)

    def uniform(self, *, frame: int, step: int, num_positions: int) -> Float[Tensor, "N"]:
        """Return 1/e throughout, of which the Gumbel noise is 0."""
        return torch.full((num_positions,), math.exp(-1))


def gumbel(u: Float[Tensor, "N"]) -> Float[Tensor, "N"]:
    """Return -log(-log(u)), both logarithms kept finite as released."""
    return -(-u.clamp(min=_TINY).log()).clamp(min=_TINY).log()


def inverse_cdf(logits: Float[Tensor, "M V"], u: Float[Tensor, "M"]) -> Int[Tensor, "M"]:
    """Return for each row the code whose interval of the distribution function of softmax(logits) holds u in [0, 1).

    In two levels: blocks of codes first, then the codes of one block, which on a CPU is a fifteenth of the time of
    Gumbel noise. Exact up to rounding; a code of probability 0 is never drawn.
    """
    weights = logits.float()
    weights = (weights - weights.amax(dim=-1, keepdim=True)).exp_()
    if weights.shape[-1] % _BLOCK:
        weights = F.pad(weights, (0, -weights.shape[-1] % _BLOCK))
    blocks = weights.unflatten(-1, (-1, _BLOCK))
    sums = blocks.sum(dim=-1)
    block, target, running = _search(sums, u)
    end, size = running.gather(-1, block), sums.gather(-1, block).double()
    within = ((target - (end - size)) / size).squeeze(-1).clamp(0, 1 - 2**-40)
    chosen = blocks.gather(1, block[..., None].expand(-1, -1, _BLOCK)).squeeze(1)
    codes = torch.add(_search(chosen, within)[0], block, alpha=_BLOCK).squeeze(-1)
    # Of rows that are not finite nothing is known but that their code must be one.
    return codes.clamp_(max=logits.shape[-1] - 1) if logits.shape[-1] % _BLOCK else codes


def _search(weights: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the interval [M, 1] of each row's running sum that holds the share u, that share of it, and the sum."""
    running = weights.double().cumsum(dim=-1)
    target = u.double()[:, None] * running[:, -1:]
    index = torch.searchsorted(running, target, right=True).clamp_(max=weights.shape[-1] - 1)
    return index, target, running
