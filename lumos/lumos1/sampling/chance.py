"""The randomness of one refinement of a batch, made on the host and brought to the device as one tensor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lumos.lumos1.sampling.frames.frame_codes import FrameCodes
from lumos.lumos1.sampling.noise import GeneratorNoise, NoiseSource, gumbel, inverse_cdf
from lumos.lumos1.sampling.schedule import Step


@dataclass(frozen=True, kw_only=True, eq=False)
class Chance:
    """What the masked positions of a frame, U clip after clip, are drawn and lifted by.

    Sources with a seed draw all clips together; others are asked clip by clip.
    """

    sources: Sequence[NoiseSource]
    """One a clip."""
    step: Step
    """The refinement."""
    frame: FrameCodes
    """The codes before it."""
    shares: Float[Tensor, "U"] | None
    """Where in its distribution function each code is drawn; None where sources are asked."""
    lifts: Float[Tensor, "U"] | None
    """tau * Gumbel noise of each confidence; None where all tau are 0."""

    @classmethod
    def of(
        cls, sources: Sequence[NoiseSource], frame: FrameCodes, *, step: Step, temperatures: Sequence[float]
    ) -> "Chance":
        """Return the chance of one refinement; `temperatures` are tau of each clip."""
        num_positions, at = frame.codes.shape[1], {"frame": step.frame, "step": step.index}
        seeded = [source for source in sources if isinstance(source, GeneratorNoise)]
        numbers = []
        if len(seeded) == len(sources):
            numbers.append(torch.stack([source.shares(**at, num_positions=num_positions) for source in seeded]))
        if any(temperatures):
            rows = zip(sources, temperatures, strict=True)
            lifts = [
                tau * gumbel(source.uniform(**at, num_positions=num_positions).cpu())
                if tau
                else torch.zeros(num_positions)
                for source, tau in rows
            ]
            numbers.append(torch.stack(lifts).double())
        shares, lifted = None, None
        if numbers:
            # Pageable memory is copied aside before the call returns: nothing waits, and nothing need be kept.
            brought = torch.stack(numbers).to(frame.codes.device, non_blocking=True)
            flat = [frame.masked.flat(rows) for rows in brought.gather(2, frame.order.expand(len(brought), -1, -1))]
            shares = flat[0] if len(seeded) == len(sources) else None
            lifted = flat[-1].float() if any(temperatures) else None
        return cls(sources=sources, step=step, frame=frame, shares=shares, lifts=lifted)

    def draw(self, logits: Float[Tensor, "M V"], part: slice) -> Int[Tensor, "M"]:
        """Return a code for each of the masked positions `part` of all U, drawn from softmax(logits)."""
        if self.shares is not None:
            return inverse_cdf(logits, self.shares[part])
        positions = self.frame.masked.flat(self.frame.order)[part]
        return torch.cat(
            [
                self.sources[clip].draw(
                    logits[rows], frame=self.step.frame, step=self.step.index, positions=positions[rows]
                )
                for clip, rows in _spans(self.frame.num_masked, part)
            ]
        )


def _spans(counts: Sequence[int], part: slice) -> Iterator[tuple[int, slice]]:
    """Yield each clip with its rows, counted from the beginning of `part`, that has any there."""
    start = 0
    for clip, count in enumerate(counts):
        first, last = max(start, part.start), min(start + count, part.stop)
        if first < last:
            yield clip, slice(first - part.start, last - part.start)
        start += count
