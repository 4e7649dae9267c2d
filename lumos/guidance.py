"""Guidance of one frame's refinements; adaptively it ends for a sample whose branches have come to agree."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lumos.config import SamplerConfig
from lumos.sampler import divergence, guide


class Guidance:
    """u + g (c - u) of the hidden states of B samples.

    Adaptively a sample goes on with c alone for the rest of the frame, once guidance moves its undecided codes by no
    more than `guidance_tolerance`. That follows from the sample itself alone, so that it does not depend on the batch.
    """

    def __init__(self, sampler: SamplerConfig, num_samples: int, *, weight: Float[Tensor, "V D"]) -> None:
        self._sampler, self._weight = sampler, weight
        self._guided = torch.full((num_samples,), sampler.guidance_scale != 1)

    def rows(self, samples: Bool[Tensor, "B"]) -> list[int]:
        """Returns which of the 2B rows, branch by branch, the next refinement of these samples depends on.

        ::

            samples [True, True, False], all of them guided still  ->  [0, 1, 3, 4]
        """
        return torch.cat([samples, samples & self._guided]).nonzero().flatten().tolist()

    def guided(
        self, hidden: Float[Tensor, "R M D"], *, rows: Sequence[int], undecided: Bool[Tensor, "B M"]
    ) -> Float[Tensor, "B M D"]:
        """Returns the guided hidden states, given those of `rows`; `undecided` is True where a place counts."""
        num_samples, tolerance = len(undecided), self._sampler.guidance_tolerance
        own = [row for row in rows if row < num_samples]
        both = [row - num_samples for row in rows[len(own) :]]
        states = hidden.new_zeros(num_samples, *hidden.shape[1:])
        states[own] = hidden[: len(own)]
        if both:
            cond, counted = states[both], undecided[both]
            states[both] = guide(cond, hidden[len(own) :], scale=self._sampler.guidance_scale)
            if tolerance is not None:
                moved = torch.zeros_like(counted, dtype=torch.float)
                pair = states[both][counted], cond[counted]
                moved[counted] = divergence(*pair, weight=self._weight, sampler=self._sampler)
                self._guided[both] = (moved.sum(dim=1) > tolerance).cpu()
        return states
