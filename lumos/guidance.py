"""Guidance of one frame's refinements, with the branch without text run always or, adaptively, now and then."""

from copy import copy

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lumos.config import SamplerConfig
from lumos.model.transformer import columns
from lumos.sampler import guide


class Guidance:
    """u + g (c - u) of the hidden states of B samples.

    Adaptively, c - u is kept, and where u is not computed c + (g - 1) (c - u) takes the difference of the last time.
    Whether a sample uses a kept difference follows from itself alone, so that it does not depend on the batch.
    """

    def __init__(self, sampler: SamplerConfig, num_samples: int, num_positions: int) -> None:
        self._scale, self._every = sampler.guidance_scale, sampler.guidance_every or 1
        self._tolerance = sampler.guidance_tolerance
        self._shape = (num_samples, num_positions)
        self._keeps = sampler.reuses_guidance
        self._agrees = torch.zeros(num_samples, dtype=torch.bool)
        self._difference = torch.empty(0)

    def num_rows(self, index: int) -> int:
        """Returns how many rows of the model refinement `index` needs: B, or 2B with the branch without text."""
        return self._shape[0] * int(self.calls(index).max())

    def calls(self, index: int) -> Int[Tensor, "B"]:
        """Returns how many branches each sample's refinement `index` depends on."""
        both = (self._scale != 1) and index % self._every == 0
        return 1 + (~self._agrees & both).long()

    def guided(
        self, hidden: Float[Tensor, "R M D"], places: Int[Tensor, "B M"], *, undecided: Bool[Tensor, "B M"]
    ) -> Float[Tensor, "B M D"]:
        """Returns the guided hidden states at `places`; `undecided` is True where a place counts."""
        if self._scale == 1:
            return hidden
        if len(hidden) == len(places):
            return self._by_kept(hidden, places)
        cond, uncond = hidden.chunk(2)
        guided = guide(cond, uncond, scale=self._scale)
        if not self._keeps:
            return guided
        if bool(self._agrees.any()):
            kept = self._agrees.to(hidden.device)[:, None, None]
            guided = torch.where(kept, self._by_kept(cond, places), guided)
        self._keep(cond.float(), uncond.float(), places, undecided)
        return guided

    def select(self, samples: Bool[Tensor, "B"]) -> "Guidance":
        """Returns the guidance of these samples, with what is kept of them."""
        chosen = copy(self)
        chosen._shape = (int(samples.sum()), self._shape[1])
        chosen._agrees = self._agrees[samples]
        if self._difference.numel() > 0:
            chosen._difference = self._difference[samples]
        return chosen

    def _by_kept(self, cond: Tensor, places: Tensor) -> Tensor:
        return (cond.float() + (self._scale - 1) * columns(self._difference, places)).to(cond.dtype)

    def _keep(self, cond: Tensor, uncond: Tensor, places: Tensor, undecided: Tensor) -> None:
        """Keeps the difference of the samples whose branches do not agree yet, and finds out whether they do now."""
        difference = cond - uncond
        if self._difference.numel() == 0:
            self._difference = difference.new_zeros(*self._shape, difference.shape[-1])
        where = places[..., None].expand_as(difference)
        before = self._difference.gather(1, where)
        fresh = undecided[..., None] & ~self._agrees.to(places.device)[:, None, None]
        self._difference.scatter_(1, where, torch.where(fresh, difference, before))
        if self._tolerance is not None:
            counted = undecided[..., None]
            norms = [(part * counted).square().sum(dim=(1, 2)).sqrt() for part in (difference, cond)]
            self._agrees |= (norms[0] <= self._tolerance * norms[1]).cpu()
