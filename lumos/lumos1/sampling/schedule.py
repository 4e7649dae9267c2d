"""How many codes of a frame are masked before each refinement, and how warm the confidence is (paper section 3.3).

A clip that is ahead of the schedule, because `entropy_bound` kept more than it asks for, goes on from where it is.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lumos.lumos1.ardf import mask_ratio
from lumos.lumos1.config import SamplerConfig


@dataclass(frozen=True, kw_only=True)
class Step:
    """Which refinement of which frame this is."""

    frame: int
    """Latent frame, from 0, given ones included."""
    index: int = 0
    """i = 0..S-1."""
    first: bool
    """Whether this is the first frame that is generated."""


def confidence_temperature(sampler: SamplerConfig, step: Step) -> float:
    """Return tau at a step: the product over the steps so far of 1 - (j+1)/S, which ends at 0.

    `released` never resets it: 0 in every frame after the first generated one. `per_frame` starts anew in each.
    """
    if sampler.confidence_temperature == "released" and not step.first:
        return 0.0
    tau = 1.0
    for j in range(step.index + 1):
        tau *= 1 - (j + 1) / sampler.num_steps
    return tau


def num_masked(index: int, *, num_steps: int, unknown: int, num_positions: int) -> int:
    """Return how many positions stay masked after step i: max(1, min(unknown - 1, floor(N cos(pi/2 (i+1)/S))))."""
    return max(1, min(unknown - 1, _scheduled(index, num_steps, num_positions)))


@cache
def _scheduled(index: int, num_steps: int, num_positions: int) -> int:
    return int(torch.floor(num_positions * mask_ratio(torch.tensor((index + 1) / num_steps))))


@cache
def schedule(num_steps: int, num_positions: int) -> tuple[int, ...]:
    """Return how many positions are masked before each of the steps where nothing but the schedule decides.

    ::

        4 steps, 32 positions  ->  (32, 29, 22, 12)
    """
    left = [num_positions]
    for index in range(num_steps - 1):
        left.append(num_masked(index, num_steps=num_steps, unknown=left[-1], num_positions=num_positions))
    return tuple(left)


def scheduled_step(unknown: int, *, num_steps: int, num_positions: int) -> int:
    """Return the last step of the schedule before which `unknown` positions or more are masked.

    Where several steps have a single one left it is the last of all: drawing that again changes nothing but chance.
    """
    return sum(left >= unknown for left in schedule(num_steps, num_positions)) - 1


def num_within(entropy: Float[Tensor, "B M"], *, bound: int | float) -> Int[Tensor, "B"]:
    """Return for each row the largest n for which the first n entropies are at most `bound`, the surest code's first.

    At temperature 1 their sum bounds how far, in nats, codes drawn each by itself are from codes drawn together. So
    does the sum without its largest term (Ben-Hamu et al. 2025, arXiv 2505.24857), but that lets an unsure code
    through in every refinement, before all sure ones are kept, and is worse as measured (benchmarks/RESULTS.md).
    """
    return (entropy.cumsum(dim=-1) <= bound).sum(dim=-1)
