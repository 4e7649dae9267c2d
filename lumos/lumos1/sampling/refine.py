"""One refinement of a frame: draw every masked code, mask the least confident again (paper section 3.3).

No model inside: it begins with the hidden states of the masked positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.sampling.logits import chunks, likeliest, visual_logits
from lumos.lumos1.sampling.noise import GeneratorNoise, NoiseSource, NoNoise, gumbel
from lumos.lumos1.sampling.schedule import Step, confidence_temperature, num_masked, num_within, scheduled_step

_MUCH_GUIDANCE, _LITTLE_TEMPERATURE = 100, 0.01
"""Beyond these they are the likeliest cause of logits that are not finite."""

__all__ = ["MASKED", "GeneratorNoise", "NoNoise", "NoiseSource", "masked_positions", "refine"]

MASKED = -1
"""Stands in a grid of codes where the code is masked."""


def refine(
    codes: Int[Tensor, "B N"],
    hidden: Float[Tensor, "U D"],
    *,
    weight: Float[Tensor, "V D"],
    noise: Sequence[NoiseSource],
    step: Step,
    sampler: SamplerConfig,
) -> Int[Tensor, "B N"]:
    """Return the codes of a frame after one refinement: every masked one drawn, the least confident masked again.

    Codes that are not masked stay. What is masked again is `_least_confident`; nothing is at the last step.

    Args:
        codes: visual codes, -1 where masked.
        hidden: guided hidden states of the masked positions, clip after clip.
        weight: the head of the visual codes, in code order: logits = hidden @ weight^T.
        noise: one source a clip.
        step: which refinement this is.
        sampler: number of steps, temperatures, top_k, entropy_bound.
    """
    clips, positions = (codes == MASKED).nonzero(as_tuple=True)
    drawn = _draw(hidden, (clips, positions), weight=weight, noise=noise, step=step, sampler=sampler)
    refined = codes.index_put((clips, positions), drawn.codes)
    for clip, own in enumerate(drawn.split(torch.bincount(clips, minlength=len(codes)).tolist())):
        again = _least_confident(own, codes.shape[1], noise=noise[clip], step=step, sampler=sampler)
        refined[clip, again] = MASKED
    return refined


def masked_positions(codes: Int[Tensor, "B N"]) -> tuple[Int[Tensor, "B M"], Bool[Tensor, "B M"]]:
    """Return the masked positions of every clip, M of the clip with most, and a mask, True where they are.

    ::

        codes [[5, -1, 3, -1], [-1, 2, 7, 1]]  ->  positions [[1, 3], [0, 1]], mask [[True, True], [True, False]]
    """
    masked = codes == MASKED
    most = int(masked.sum(dim=1).max())
    positions = (~masked).int().argsort(dim=1, stable=True)[:, :most]
    return positions, masked.gather(1, positions)


@dataclass(frozen=True, kw_only=True)
class _Draws:
    """What was drawn at U masked positions, clip after clip."""

    positions: Int[Tensor, "U"]
    """Where in its frame each code is."""
    codes: Int[Tensor, "U"]
    """The codes."""
    log_prob: Float[Tensor, "U"]
    """log p of each."""
    entropy: Float[Tensor, "U"]
    """Of the distribution that each was drawn from, in nats; 0 where no `entropy_bound` asks for it."""

    def split(self, counts: list[int]) -> list["_Draws"]:
        """Return the draws of each clip, of which it has so many."""
        parts = zip(*(x.split(counts) for x in (self.positions, self.codes, self.log_prob, self.entropy)), strict=True)
        return [_Draws(positions=part[0], codes=part[1], log_prob=part[2], entropy=part[3]) for part in parts]


def _draw(
    hidden: Tensor,
    where: tuple[Tensor, Tensor],
    *,
    weight: Tensor,
    noise: Sequence[NoiseSource],
    step: Step,
    sampler: SamplerConfig,
) -> _Draws:
    """Return what is drawn at the masked (clips, positions); the logits come in chunks."""
    clips, positions = where
    codes = torch.empty_like(positions)
    log_prob, entropy = torch.zeros(2, len(positions), device=hidden.device)
    for part in chunks(len(positions), weight):
        logits = likeliest(visual_logits(hidden[part], weight, sampler), sampler.top_k)
        total = logits.logsumexp(dim=-1)
        _require_finite(total, step=step, sampler=sampler)
        for clip, span in _spans(clips[part]):
            here = slice(part.start + span.start, part.start + span.stop)
            codes[here] = noise[clip].draw(logits[span], frame=step.frame, step=step.index, positions=positions[here])
        log_prob[part] = logits.gather(-1, codes[part, None]).squeeze(-1) - total
        if sampler.entropy_bound is not None:
            entropy[part] = torch.special.entr(logits.softmax(dim=-1)).sum(dim=-1)
    return _Draws(positions=positions, codes=codes, log_prob=log_prob, entropy=entropy)


def _require_finite(total: Tensor, *, step: Step, sampler: SamplerConfig) -> None:
    """Raise ValueError where a row of logits holds NaN or an infinity, whose log of the sum of exponentials is none."""
    if total.isfinite().all():
        return
    causes = "the weights are damaged, or too large for the dtype: look with `lumos doctor`, or use fp32"
    if sampler.guidance_scale > _MUCH_GUIDANCE or sampler.temperature < _LITTLE_TEMPERATURE:
        causes = (
            f"guidance_scale is {sampler.guidance_scale:g} and temperature {sampler.temperature:g}; bring them nearer "
            f"to {SamplerConfig.guidance_scale:g} and {SamplerConfig.temperature:g}"
        )
    raise ValueError(f"the logits of latent frame {step.frame}, refinement {step.index}, are not finite: {causes}")


def _least_confident(
    drawn: _Draws, num_positions: int, *, noise: NoiseSource, step: Step, sampler: SamplerConfig
) -> Tensor:
    """Return the positions of a clip that are masked again: as many as the schedule says, none at the last step.

    Confidence is log p(drawn) + tau * Gumbel noise. With `entropy_bound` at least as many of the most confident are
    kept as it allows (`num_within`), and a clip that is ahead of the schedule by that is at the step of the schedule
    that has as many masked (`scheduled_step`), for what it keeps next and for its tau.
    """
    unknown, at = len(drawn.positions), step
    if sampler.entropy_bound is not None:
        ahead = scheduled_step(unknown, num_steps=sampler.num_steps, num_positions=num_positions)
        at = replace(step, index=max(step.index, ahead))
    if at.index + 1 == sampler.num_steps:
        return drawn.positions[:0]
    u = noise.uniform(frame=step.frame, step=step.index, num_positions=num_positions)  # sources count refinements
    tau = confidence_temperature(sampler, at)
    confidence = drawn.log_prob + tau * gumbel(u.to(drawn.log_prob.device))[drawn.positions]
    order = confidence.argsort(stable=True)
    count = num_masked(at.index, num_steps=sampler.num_steps, unknown=unknown, num_positions=num_positions)
    if sampler.entropy_bound is not None:
        count = min(count, unknown - num_within(drawn.entropy[order.flip(0)], bound=sampler.entropy_bound))
    return drawn.positions[order[:count]]


def _spans(clips: Tensor) -> list[tuple[int, slice]]:
    """Return (clip, slice) for every run of equal numbers in sorted `clips`."""
    numbers, counts = clips.unique_consecutive(return_counts=True)
    stops = counts.cumsum(0).tolist()
    return [(clip, slice(*bounds)) for clip, *bounds in zip(numbers.tolist(), [0, *stops], stops, strict=False)]
