"""One refinement of a frame: draw every masked code, mask the least confident again (paper section 3.3).

No model inside: it begins with the hidden states of the masked positions. How many are masked again the schedule knows
beforehand, so on a GPU a refinement waits for nothing but the check of its logits; with `entropy_bound` once more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.sampling.chance import Chance
from lumos.lumos1.sampling.frames.frame_codes import MASKED, FrameCodes
from lumos.lumos1.sampling.logits import chunks, likeliest, visual_logits
from lumos.lumos1.sampling.noise import GeneratorNoise, NoiseSource, NoNoise
from lumos.lumos1.sampling.schedule import Step, confidence_temperature, num_masked, num_within, scheduled_step

_MUCH_GUIDANCE, _LITTLE_TEMPERATURE = 100, 0.01
"""Beyond these they are the likeliest cause of logits that are not finite."""

__all__ = ["MASKED", "FrameCodes", "GeneratorNoise", "NoNoise", "NoiseSource", "refine"]


def refine(
    frame: FrameCodes,
    hidden: Float[Tensor, "U D"],
    *,
    weight: Float[Tensor, "V D"],
    noise: Sequence[NoiseSource],
    step: Step,
    sampler: SamplerConfig,
) -> FrameCodes:
    """Return the frame after one refinement: every masked code drawn, the least confident masked again.

    Codes that are not masked stay. Confidence is log p(drawn) + tau * Gumbel noise. With `entropy_bound` at least as
    many of the most confident are kept as it allows (`num_within`), and a clip that is ahead of the schedule by that is
    at the step of the schedule that has as many masked (`scheduled_step`), for what it keeps next and for its tau. At
    the last step nothing is masked again.

    Args:
        frame: the codes.
        hidden: guided hidden states of the masked positions, clip after clip.
        weight: the head of the visual codes, in code order: logits = hidden @ weight^T.
        noise: one source a clip.
        step: which refinement this is.
        sampler: number of steps, temperatures, top_k, entropy_bound.
    """
    num_positions = frame.codes.shape[1]
    steps = [_step_of(unknown, num_positions, step=step, sampler=sampler) for unknown in frame.num_masked]
    counts = tuple(
        _num_again(at, unknown, num_positions, sampler=sampler)
        for at, unknown in zip(steps, frame.num_masked, strict=True)
    )
    temperatures = [confidence_temperature(sampler, at) for at in steps]
    chance = Chance.of(noise, frame, step=step, temperatures=temperatures)
    drawn = _draw(frame, hidden, weight=weight, chance=chance, step=step, sampler=sampler)
    refined = frame.filled(drawn.codes)
    if not any(counts):
        return FrameCodes(codes=refined, num_masked=counts)
    confidence = drawn.log_prob if chance.lifts is None else drawn.log_prob + chance.lifts
    order = frame.masked.padded(confidence, math.inf).argsort(dim=1, stable=True)
    positions = frame.order.gather(1, order)  # the least confident first
    if sampler.entropy_bound is None and len(set(counts)) == 1:
        return FrameCodes(codes=refined.scatter_(1, positions[:, : counts[0]], MASKED), num_masked=counts)
    limits = torch.tensor(counts).to(refined.device, non_blocking=True)
    if drawn.entropy is not None and sampler.entropy_bound is not None:
        # Behind shorter rows there is entropy 0, which is within any bound.
        entropy = frame.masked.padded(drawn.entropy, 0.0).gather(1, order).flip(1)
        limits = torch.minimum(limits, entropy.shape[1] - num_within(entropy, bound=sampler.entropy_bound))
        counts = tuple(limits.tolist())
    again = torch.arange(positions.shape[1], device=positions.device) < limits[:, None]
    codes = torch.where(again, MASKED, refined.gather(1, positions))
    return FrameCodes(codes=refined.scatter_(1, positions, codes), num_masked=counts)


def _step_of(unknown: int, num_positions: int, *, step: Step, sampler: SamplerConfig) -> Step:
    """Return the step of a clip of which so many are masked: this one, or where the schedule has as many masked."""
    if sampler.entropy_bound is None:
        return step
    ahead = scheduled_step(unknown, num_steps=sampler.num_steps, num_positions=num_positions)
    return replace(step, index=max(step.index, ahead))


def _num_again(step: Step, unknown: int, num_positions: int, *, sampler: SamplerConfig) -> int:
    """Return how many of a clip the schedule masks again: none at the last step, or where none was."""
    if step.index + 1 == sampler.num_steps or unknown == 0:
        return 0
    return num_masked(step.index, num_steps=sampler.num_steps, unknown=unknown, num_positions=num_positions)


@dataclass(frozen=True, kw_only=True)
class _Draws:
    """What was drawn at U masked positions, clip after clip."""

    codes: Int[Tensor, "U"]
    """The codes."""
    log_prob: Float[Tensor, "U"]
    """log p of each."""
    entropy: Float[Tensor, "U"] | None
    """Of the distribution that each was drawn from, in nats; None where no `entropy_bound` asks for it."""


def _draw(
    frame: FrameCodes,
    hidden: Float[Tensor, "U D"],
    *,
    weight: Float[Tensor, "V D"],
    chance: Chance,
    step: Step,
    sampler: SamplerConfig,
) -> _Draws:
    """Return what is drawn at the masked positions; the logits come in chunks."""
    codes, log_prob, entropy, largest = [], [], [], []
    for part in chunks(sum(frame.num_masked), weight):
        logits = likeliest(visual_logits(hidden[part], weight, sampler), sampler.top_k)
        total = logits.logsumexp(dim=-1)
        largest.append(torch.linalg.vector_norm(total, ord=math.inf))
        codes.append(chance.draw(logits, part))
        log_prob.append(logits.gather(-1, codes[-1][:, None]).squeeze(-1) - total)
        if sampler.entropy_bound is not None:
            entropy.append(torch.special.entr(logits.softmax(dim=-1)).sum(dim=-1))
    _require_finite(largest, step=step, sampler=sampler)
    return _Draws(codes=_joined(codes), log_prob=_joined(log_prob), entropy=_joined(entropy) if entropy else None)


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _require_finite(largest: list[Tensor], *, step: Step, sampler: SamplerConfig) -> None:
    """Raise ValueError where a row of logits holds NaN or an infinity, whose log of the sum of exponentials is none."""
    found = largest if len(largest) == 1 else [torch.stack(largest).max()]
    if math.isfinite(found[0].item()):
        return
    causes = "the weights are damaged, or too large for the dtype: look with `lumos doctor`, or use fp32"
    if sampler.guidance_scale > _MUCH_GUIDANCE or sampler.temperature < _LITTLE_TEMPERATURE:
        causes = (
            f"guidance_scale is {sampler.guidance_scale:g} and temperature {sampler.temperature:g}; bring them nearer "
            f"to {SamplerConfig.guidance_scale:g} and {SamplerConfig.temperature:g}"
        )
    raise ValueError(f"the logits of latent frame {step.frame}, refinement {step.index}, are not finite: {causes}")
