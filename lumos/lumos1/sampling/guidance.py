"""Guidance of one frame's refinements; adaptively it ends for a sample whose codes it moves no longer."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.sampling.refine import divergence, guide


class Guidance:
    """u + g (c - u) of the hidden states of B samples.

    Adaptively a sample goes on with c alone for the rest of the frame, once guidance moves the codes of the frame by no
    more than `guidance_tolerance` on average. That follows from the sample alone, whatever the batch.
    """

    def __init__(
        self, sampler: SamplerConfig, num_samples: int, *, num_positions: int, weight: Float[Tensor, "V D"]
    ) -> None:
        self._sampler, self._num_positions, self._weight = sampler, num_positions, weight
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
        """Returns the guided hidden states, given those of `rows`, and ends guidance where it may end.

        `undecided` is True where a place counts.
        """
        num_samples, tolerance = len(undecided), self._sampler.guidance_tolerance
        own = [row for row in rows if row < num_samples]
        both = [row - num_samples for row in rows[len(own) :]]
        states = hidden.new_zeros(num_samples, *hidden.shape[1:])
        states[own] = hidden[: len(own)]
        if both:
            cond = states[both]
            states[both] = guided = guide(cond, hidden[len(own) :], scale=self._sampler.guidance_scale)
            if tolerance is not None:
                moved = self._moved(guided, cond, undecided[both]) / self._num_positions
                self._guided[both] = ~(moved <= tolerance).cpu()
        return states

    def _moved(self, guided: Tensor, cond: Tensor, counted: Tensor) -> Tensor:
        """Returns how far guidance moves the codes of each sample, those that count, in nats together."""
        moved = torch.zeros_like(counted, dtype=torch.float)
        moved[counted] = divergence(guided[counted], cond[counted], weight=self._weight, sampler=self._sampler)
        return moved.sum(dim=1)
