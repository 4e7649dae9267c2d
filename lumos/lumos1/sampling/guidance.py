"""Guidance of one frame's refinements; adaptively it ends for a clip whose codes it moves no longer."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.sampling.frame_decoder import FrameDecoder
from lumos.lumos1.sampling.logits import chunks, visual_logits
from lumos.lumos1.sampling.refine import masked_positions


def guide(cond: Float[Tensor, "*B D"], uncond: Float[Tensor, "*B D"], *, scale: int | float) -> Float[Tensor, "*B D"]:
    """Return uncond + scale (cond - uncond) in the dtype given; the difference is taken in fp32 and rounded once.

    On hidden states before the head this is guidance of the logits, for the head is linear: W(u + g(c - u)) =
    Wu + g(Wc - Wu); and closer to fp32 than guiding logits that were rounded to bf16.
    """
    return torch.lerp(uncond.float(), cond.float(), scale).to(cond.dtype)


def divergence(
    hidden: Float[Tensor, "U D"], other: Float[Tensor, "U D"], *, weight: Float[Tensor, "V D"], sampler: SamplerConfig
) -> Float[Tensor, "U"]:
    """Return KL(p || q) in nats, row by row; p and q are the distributions after `hidden` and `other` before top_k."""
    found = torch.empty(len(hidden), device=hidden.device)
    for part in chunks(len(hidden), weight):
        p, q = (visual_logits(states[part], weight, sampler).log_softmax(dim=-1) for states in (hidden, other))
        found[part] = (p.exp() * (p - q)).sum(dim=-1)
    return found


class GuidedFrame:
    """The next frame through the model, refinement after refinement, with guidance.

    Nothing is computed that the codes do not depend on: finished clips and branches that guidance needs no longer leave
    the batch, and the last block runs at masked positions alone.
    """

    def __init__(self, decoder: FrameDecoder, sampler: SamplerConfig) -> None:
        self._decoder = decoder
        self._guidance = Guidance(
            sampler, decoder.num_clips, num_positions=decoder.num_positions, weight=decoder.visual_weight
        )

    def hidden(self, codes: Int[Tensor, "B N"]) -> Float[Tensor, "U D"]:
        """Return the guided hidden states of the masked codes (-1), of which there is at least one, clip after clip."""
        positions, masked = masked_positions(codes)
        sequences = self._guidance.sequences(masked.any(dim=1).cpu())
        self._decoder = self._decoder.narrowed(sequences)
        hidden = self._decoder.hidden(codes, positions=positions, sequences=sequences)
        return self._guidance.guided(hidden, sequences=sequences, masked=masked)[masked]


class Guidance:
    """u + g (c - u) of the hidden states of B clips, through the refinements of a frame.

    Clip b has a sequence for each branch: b with its text and b + B without (`FrameDecoder`). Adaptively a clip goes on
    with c alone for the rest of the frame, once guidance moves the codes of the frame by no more than
    `guidance_tolerance` on average. That follows from the clip alone, whatever the batch.
    """

    def __init__(
        self, sampler: SamplerConfig, num_clips: int, *, num_positions: int, weight: Float[Tensor, "V D"]
    ) -> None:
        self._sampler, self._num_positions, self._weight = sampler, num_positions, weight
        self._is_guided = torch.full((num_clips,), sampler.guidance_scale != 1)

    def sequences(self, clips: Bool[Tensor, "B"]) -> list[int]:
        """Return which of the 2B sequences the next refinement of the clips that are True depends on.

        ::

            clips [True, True, False], all of them guided still  ->  [0, 1, 3, 4]
        """
        return torch.cat([clips, clips & self._is_guided]).nonzero().flatten().tolist()

    def guided(
        self, hidden: Float[Tensor, "R M D"], *, sequences: Sequence[int], masked: Bool[Tensor, "B M"]
    ) -> Float[Tensor, "B M D"]:
        """Return the guided hidden states, given those of `sequences`, and end guidance where it may end.

        `masked` is True where a position counts.
        """
        num_clips, tolerance = len(masked), self._sampler.guidance_tolerance
        own = [sequence for sequence in sequences if sequence < num_clips]
        both = [sequence - num_clips for sequence in sequences[len(own) :]]
        states = hidden.new_zeros(num_clips, *hidden.shape[1:])
        states[own] = hidden[: len(own)]
        if both:
            cond = states[both]
            states[both] = guided = guide(cond, hidden[len(own) :], scale=self._sampler.guidance_scale)
            if tolerance is not None:
                moved = self._moved(guided, cond, masked[both]) / self._num_positions
                self._is_guided[both] = ~(moved <= tolerance).cpu()
        return states

    def _moved(self, guided: Tensor, cond: Tensor, counted: Tensor) -> Tensor:
        """Return how far guidance moves the codes of each clip, those that count, in nats together."""
        moved = torch.zeros_like(counted, dtype=torch.float)
        moved[counted] = divergence(guided[counted], cond[counted], weight=self._weight, sampler=self._sampler)
        return moved.sum(dim=1)
