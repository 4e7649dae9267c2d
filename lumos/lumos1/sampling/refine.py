"""One refinement step of a frame: guide, draw, confidence, re-mask (README 10.2, 10.3). No model inside.

All chance comes from a `NoiseSource`, one per sample, so that a sample is the same alone and in any batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lumos.lumos1.ardf import mask_ratio
from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.model.linear import linear
from xllmx.rng import generator_for

MASKED = -1
"""Stands in a grid of codes where the code is not decided yet."""

_CHUNK_BYTES = {"cpu": 2**25, "cuda": 2**29}  # of fp32 logits at a time; the CPU's allocator is slow above 32 MiB
_BLOCK = 256
_TINY = 1e-20


@runtime_checkable
class NoiseSource(Protocol):
    """Where a sample's randomness comes from. `frame` counts latent frames from 0, given ones included."""

    def draw(
        self, logits: Float[Tensor, "M V"], *, frame: int, step: int, positions: Int[Tensor, "M"]
    ) -> Int[Tensor, "M"]:
        """Returns a code for each of these still masked positions (row-major 0..H*W-1), drawn from softmax(logits)."""
        ...

    def uniform(self, *, frame: int, step: int, num_positions: int) -> Float[Tensor, "N"]:
        """Returns numbers in (0, 1), one a position; the confidence noise is -log(-log(u))."""
        ...


@dataclass(frozen=True)
class GeneratorNoise:
    """Noise from a seed: every number is a function of (seed, frame, step, position), whatever the batch."""

    seed: int

    def draw(
        self, logits: Float[Tensor, "M V"], *, frame: int, step: int, positions: Int[Tensor, "M"]
    ) -> Int[Tensor, "M"]:
        """Returns exact draws from softmax(logits): its inverse distribution function at one uniform a row."""
        generator = generator_for(self.seed, step, rank=frame, stream="draw")
        u = torch.rand(int(positions.max()) + 1, generator=generator, dtype=torch.float64)
        return inverse_cdf(logits, u.to(logits.device)[positions])

    def uniform(self, *, frame: int, step: int, num_positions: int) -> Float[Tensor, "N"]:
        """Returns uniforms in (0, 1)."""
        generator = generator_for(self.seed, step, rank=frame, stream="confidence")
        return torch.rand(num_positions, generator=generator).clamp(_TINY, 1 - 2**-24)


@dataclass(frozen=True)
class NoNoise:
    """No noise: the likeliest code, and confidence as it is."""

    def draw(
        self, logits: Float[Tensor, "M V"], *, frame: int, step: int, positions: Int[Tensor, "M"]
    ) -> Int[Tensor, "M"]:
        """Returns the likeliest code of each row."""
        return logits.argmax(dim=-1)

    def uniform(self, *, frame: int, step: int, num_positions: int) -> Float[Tensor, "N"]:
        """Returns 1/e throughout, whose -log(-log(u)) is 0."""
        return torch.full((num_positions,), math.exp(-1))


@dataclass(frozen=True, kw_only=True)
class Step:
    """Which refinement of which frame this is."""

    frame: int
    """Latent frame, from 0, given ones included."""
    index: int = 0
    """i = 0..S-1."""
    first: bool
    """Whether this is the first frame that is generated."""


def guide(cond: Float[Tensor, "*B D"], uncond: Float[Tensor, "*B D"], *, scale: int | float) -> Float[Tensor, "*B D"]:
    """Returns uncond + scale (cond - uncond) in the dtype given; the difference is taken in fp32 and rounded once.

    On hidden states before the head this is guidance of the logits, for the head is linear: W(u + g(c - u)) =
    Wu + g(Wc - Wu); and closer to fp32 than guiding logits that were rounded to bf16.
    """
    return torch.lerp(uncond.float(), cond.float(), scale).to(cond.dtype)


def refine(
    codes: Int[Tensor, "B N"],
    hidden: Float[Tensor, "U D"],
    *,
    weight: Float[Tensor, "V D"],
    noise: Sequence[NoiseSource],
    step: Step,
    sampler: SamplerConfig,
) -> Int[Tensor, "B N"]:
    """Returns the codes of a frame after one refinement: every undecided one drawn, the least confident masked again.

    Confidence is log p(drawn) + tau * Gumbel noise. Decided codes stay. With `entropy_bound` at least as many of the
    most confident are kept as it allows (`num_within`), and a row that is ahead of the schedule by that is where the
    schedule has as many masked (`scheduled_step`), for what it keeps next and for its tau.

    Args:
        codes: visual codes, -1 where undecided.
        hidden: guided hidden states of the undecided positions, row after row.
        weight: the head of the visual codes, in code order: logits = hidden @ weight^T.
        noise: one source a row.
        step: which refinement this is.
        sampler: number of steps, temperatures, top_k, entropy_bound.
    """
    rows, positions = (codes == MASKED).nonzero(as_tuple=True)
    drawn, log_prob, entropy = _draw(hidden, (rows, positions), weight=weight, noise=noise, step=step, sampler=sampler)
    refined, num_positions = codes.index_put((rows, positions), drawn), codes.shape[1]
    if step.index + 1 == sampler.num_steps:
        return refined
    unknown = torch.bincount(rows, minlength=len(codes)).tolist()
    by_row = zip(*(part.split(unknown) for part in (positions, log_prob, entropy)), strict=True)
    for row, (places, certainty, doubt) in enumerate(by_row):
        index = step.index
        if sampler.entropy_bound is not None:
            # the row's own, which may be ahead; noise sources still count refinements
            index = scheduled_step(len(places), num_steps=sampler.num_steps, num_positions=num_positions)
        if index + 1 == sampler.num_steps:
            continue
        u = noise[row].uniform(frame=step.frame, step=step.index, num_positions=num_positions)
        tau = confidence_temperature(sampler, replace(step, index=index))
        confidence = certainty + tau * _gumbel(u.to(codes.device))[places]
        order = confidence.argsort(stable=True)
        count = num_masked(index, num_steps=sampler.num_steps, unknown=len(places), num_positions=num_positions)
        if sampler.entropy_bound is not None:
            count = min(count, len(places) - num_within(doubt[order.flip(0)], bound=sampler.entropy_bound))
        refined[row, places[order[:count]]] = MASKED
    return refined


def undecided_places(codes: Int[Tensor, "B N"]) -> tuple[Int[Tensor, "B M"], Bool[Tensor, "B M"]]:
    """Returns the undecided positions of every row, M of the row with most, and a mask, True where they are.

    ::

        codes [[5, -1, 3, -1], [-1, 2, 7, 1]]  ->  places [[1, 3], [0, 1]], mask [[True, True], [True, False]]
    """
    undecided = codes == MASKED
    most = int(undecided.sum(dim=1).max())
    places = (~undecided).int().argsort(dim=1, stable=True)[:, :most]
    return places, undecided.gather(1, places)


def confidence_temperature(sampler: SamplerConfig, step: Step) -> float:
    """Returns tau at a step: the product over the steps so far of 1 - (j+1)/S, which ends at 0 (README 10.3, 11).

    `released` never resets it: 0 in every frame after the first generated one. `per_frame` starts anew in each.
    """
    if sampler.confidence_temperature == "released" and not step.first:
        return 0.0
    tau = 1.0
    for j in range(step.index + 1):
        tau *= 1 - (j + 1) / sampler.num_steps
    return tau


def num_masked(index: int, *, num_steps: int, unknown: int, num_positions: int) -> int:
    """Returns how many positions stay masked after step i: max(1, min(unknown - 1, floor(N cos(pi/2 (i+1)/S))))."""
    scheduled = int(torch.floor(num_positions * mask_ratio(torch.tensor((index + 1) / num_steps))))
    return max(1, min(unknown - 1, scheduled))


@cache
def schedule(num_steps: int, num_positions: int) -> tuple[int, ...]:
    """Returns how many positions are masked before each of the steps where nothing but the schedule decides.

    ::

        4 steps, 32 positions  ->  (32, 29, 22, 12)
    """
    left = [num_positions]
    for index in range(num_steps - 1):
        left.append(num_masked(index, num_steps=num_steps, unknown=left[-1], num_positions=num_positions))
    return tuple(left)


def scheduled_step(unknown: int, *, num_steps: int, num_positions: int) -> int:
    """Returns the last step of the schedule before which `unknown` positions or more are masked.

    Where several steps have a single one left it is the last of all: drawing that again changes nothing but chance.
    """
    return sum(left >= unknown for left in schedule(num_steps, num_positions)) - 1


def num_within(entropy: Float[Tensor, "M"], *, bound: int | float) -> int:
    """Returns the largest n for which the first n entropies, of the most confident code first, are at most `bound`.

    At temperature 1 their sum bounds how far, in nats, codes drawn each by itself are from codes drawn together. So
    does the sum without its largest term (Ben-Hamu et al. 2025, arXiv 2505.24857), but that lets an unsure code
    through in every refinement, before all sure ones are kept, and is worse as measured (benchmarks/RESULTS.md).
    """
    return int((entropy.cumsum(dim=0) <= bound).sum())


def divergence(
    hidden: Float[Tensor, "U D"], other: Float[Tensor, "U D"], *, weight: Float[Tensor, "V D"], sampler: SamplerConfig
) -> Float[Tensor, "U"]:
    """Returns KL(p || q) in nats, row by row; p and q are the distributions after `hidden` and `other` before top_k."""
    found = torch.empty(len(hidden), device=hidden.device)
    for part in _chunks(len(hidden), weight):
        p, q = (_logits(states[part], weight, sampler).log_softmax(dim=-1) for states in (hidden, other))
        found[part] = (p.exp() * (p - q)).sum(dim=-1)
    return found


def inverse_cdf(logits: Float[Tensor, "M V"], u: Float[Tensor, "M"]) -> Int[Tensor, "M"]:
    """Returns for each row the code whose interval of the distribution function of softmax(logits) holds u in [0, 1).

    In two levels: blocks of codes first, then the codes of one block, which on a CPU is a fifteenth of the time of
    Gumbel noise. Exact up to rounding; a code of probability 0 is never drawn.
    """
    weights = logits.float()
    weights = (weights - weights.amax(dim=-1, keepdim=True)).exp_()
    if weights.shape[-1] % _BLOCK:
        weights = F.pad(weights, (0, -weights.shape[-1] % _BLOCK))
    blocks = weights.unflatten(-1, (-1, _BLOCK))
    block, within = _search(blocks.sum(dim=-1), u)
    chosen = blocks[torch.arange(len(block), device=block.device), block]
    return block * _BLOCK + _search(chosen, within)[0]


def _search(weights: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the interval of each row's running sum that holds the share u, and where in it, again as a share."""
    running = weights.double().cumsum(dim=-1)
    target = u.double()[:, None] * running[:, -1:]
    index = torch.searchsorted(running, target, right=True).clamp_(max=weights.shape[-1] - 1)
    end, size = running.gather(-1, index), weights.gather(-1, index).double()
    share = (target - (end - size)) / size
    return index.squeeze(-1), share.squeeze(-1).clamp(0, 1 - 2**-40)


def _draw(
    hidden: Tensor,
    where: tuple[Tensor, Tensor],
    *,
    weight: Tensor,
    noise: Sequence[NoiseSource],
    step: Step,
    sampler: SamplerConfig,
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the codes drawn at the undecided (rows, positions), their log probabilities, and the entropies in nats.

    Logits come in chunks; the entropies are 0 where no `entropy_bound` asks for them.
    """
    rows, positions = where
    drawn = torch.empty_like(positions)
    log_prob, entropy = torch.zeros(2, len(positions), device=hidden.device)
    for part in _chunks(len(positions), weight):
        logits = _likeliest(_logits(hidden[part], weight, sampler), sampler.top_k)
        for row, span in _spans(rows[part]):
            here = slice(part.start + span.start, part.start + span.stop)
            drawn[here] = noise[row].draw(logits[span], frame=step.frame, step=step.index, positions=positions[here])
        log_prob[part] = logits.gather(-1, drawn[part, None]).squeeze(-1) - logits.logsumexp(dim=-1)
        if sampler.entropy_bound is not None:
            entropy[part] = torch.special.entr(logits.softmax(dim=-1)).sum(dim=-1)
    return drawn, log_prob, entropy


def _chunks(num: int, weight: Tensor) -> list[slice]:
    """Returns slices of 0..num - 1, each of so many hidden states as may have their logits at a time."""
    size = max(1, _CHUNK_BYTES.get(weight.device.type, 2**25) // (4 * len(weight)))
    return [slice(start, min(start + size, num)) for start in range(0, num, size)]


def _logits(hidden: Tensor, weight: Tensor, sampler: SamplerConfig) -> Tensor:
    """Returns the logits in fp32, with their temperature."""
    logits = linear(hidden.to(weight.dtype), weight).float()
    return logits if sampler.temperature == 1 else logits / sampler.temperature


def _likeliest(logits: Tensor, top_k: int | None) -> Tensor:
    """Returns the logits with all but the k likeliest codes at -inf."""
    if top_k is None or top_k >= logits.shape[-1]:
        return logits
    return logits.masked_fill(logits < logits.topk(top_k, dim=-1).values[:, -1:], -math.inf)


def _spans(rows: Tensor) -> list[tuple[int, slice]]:
    """Returns (row, slice) for every run of equal numbers in sorted `rows`."""
    numbers, counts = rows.unique_consecutive(return_counts=True)
    stops = counts.cumsum(0).tolist()
    return [(row, slice(*bounds)) for row, *bounds in zip(numbers.tolist(), [0, *stops], stops, strict=False)]


def _gumbel(u: Tensor) -> Tensor:
    """Returns -log(-log(u)), both logarithms kept finite as released."""
    return -(-u.clamp(min=_TINY).log()).clamp(min=_TINY).log()
