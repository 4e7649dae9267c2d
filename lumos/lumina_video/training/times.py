"""The times of training items: drawn, then shifted towards the noise (arXiv 2502.06782, section 3.1)."""

import torch
from jaxtyping import Float
from torch import Tensor

from lumos.lumina_video.sampling.schedule import Number, shift_time
from lumos.lumina_video.training.time_distribution import LOGNORM, bounds_of


def draw_times(
    num_items: int, distribution: str, *, shift: Number | None, generator: torch.Generator
) -> Float[Tensor, " B"]:
    """Return a time in [0, 1] for each item, in fp32 on the CPU.

    Args:
        num_items: B.
        distribution: of s before the shift: `uniform` in [0, 1), `uniform_A_B` A + (B - A) u of a uniform
            u, so that A may be the larger one, or both the same; `lognorm` the sigmoid of a standard normal number.
        shift: of the time, as in sampling; coarser scales take a larger one.
        generator: on the CPU; one number an item is drawn from it.

    Raises:
        ValueError: a distribution that is none of these, or a shift as `shift_time` refuses it.
    """
    draw = torch.randn if distribution == LOGNORM else torch.rand
    return times_of(draw(num_items, generator=generator), distribution, shift=shift)


def times_of(draws: Float[Tensor, " B"], distribution: str, *, shift: Number | None) -> Float[Tensor, " B"]:
    """Return the times that these draws give: standard normal numbers for `lognorm`, else uniform ones in [0, 1)."""
    if distribution == LOGNORM:
        return shift_time(draws.sigmoid(), shift)
    low, high = bounds_of(distribution)
    return shift_time(low + (high - low) * draws, shift)
