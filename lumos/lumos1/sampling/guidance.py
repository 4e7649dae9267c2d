"""Guidance of one frame's refinements; adaptively it ends for a clip whose codes it moves no longer."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.sampling.frame_decoder import FrameDecoder
from lumos.lumos1.sampling.frames.frame_codes import FrameCodes, Leading
from lumos.lumos1.sampling.logits import chunks, visual_logits


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

    def hidden(self, frame: FrameCodes) -> Float[Tensor, "U D"]:
        """Return the guided hidden states of the masked codes, of which there is at least one, clip after clip."""
        sequences = self._guidance.sequences([count > 0 for count in frame.num_masked])
        self._decoder = self._decoder.narrowed(sequences)
        positions = frame.order[:, : max(frame.num_masked)]
        hidden = self._decoder.hidden(frame.codes, positions=positions, sequences=sequences)
        return frame.masked.flat(self._guidance.guided(hidden, sequences=sequences, num_masked=frame.num_masked))


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
        self._is_guided = [sampler.guidance_scale != 1] * num_clips

    def sequences(self, clips: Sequence[bool]) -> list[int]:
        """Return which of the 2B sequences the next refinement of the clips that are True depends on.

        ::

            clips [True, True, False], all of them guided still  ->  [0, 1, 3, 4]
        """
        guided = [clip and is_guided for clip, is_guided in zip(clips, self._is_guided, strict=True)]
        return [sequence for sequence, wanted in enumerate([*clips, *guided]) if wanted]

    def guided(
        self, hidden: Float[Tensor, "R M D"], *, sequences: Sequence[int], num_masked: Sequence[int]
    ) -> Float[Tensor, "B M D"]:
        """Return the guided hidden states, given those of `sequences`, and end guidance where it may end.

        Of clip b the first `num_masked[b]` positions count.
        """
        num_clips, device = len(num_masked), hidden.device
        own = [sequence for sequence in sequences if sequence < num_clips]
        both = [sequence - num_clips for sequence in sequences[len(own) :]]
        states = hidden[: len(own)]
        if both:
            rows = None if both == own else torch.tensor([own.index(clip) for clip in both], device=device)
            cond = states if rows is None else states[rows]
            guided = guide(cond, hidden[len(own) :], scale=self._sampler.guidance_scale)
            states = guided if rows is None else states.index_copy(0, rows, guided)
            self._end(both, guided, cond, counts=tuple(num_masked[clip] for clip in both))
        if len(own) == num_clips:
            return states
        every = hidden.new_zeros(num_clips, *hidden.shape[1:])
        return every.index_copy(0, torch.tensor(own, device=device), states)

    def _end(self, clips: list[int], guided: Tensor, cond: Tensor, *, counts: tuple[int, ...]) -> None:
        """End the guidance of those clips whose codes it moves, those that count, by no more than the tolerance."""
        if self._sampler.guidance_tolerance is None:
            return
        counted = Leading(counts=counts, device=guided.device)
        states = counted.flat(guided), counted.flat(cond)
        moved = divergence(*states, weight=self._weight, sampler=self._sampler)
        mean = counted.padded(moved, 0.0).sum(dim=1) / self._num_positions
        for clip, ends in zip(clips, (mean <= self._sampler.guidance_tolerance).tolist(), strict=True):
            self._is_guided[clip] = not ends
