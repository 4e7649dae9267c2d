"""`python -m benchmarks.lumos1.head`: from hidden states to drawn codes, the literal way and saving by saving.

Literal: logits of the whole vocabulary in fp32 at every position of both branches, guidance of logits, Gumbel noise.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.lumos1.literal import GumbelNoise
from benchmarks.lumos1.sampling import SAMPLER, Moment
from benchmarks.lumos1.work import WORKS, Work
from benchmarks.measure import compare, matmul_rate
from benchmarks.report import output_file, write_report
from lumos.lumos1.model.linear import linear
from lumos.lumos1.sampling.guidance import guide
from lumos.lumos1.sampling.noise import GeneratorNoise, inverse_cdf
from lumos.lumos1.sampling.refine import MASKED, FrameCodes, refine
from lumos.lumos1.sampling.schedule import Step
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_CHUNK = 128


@dataclass(frozen=True, kw_only=True)
class Head:
    """Weights and states that every way starts from, and a method for each step of the ways."""

    weight: Tensor
    """Of the whole vocabulary, [V, D]."""
    visual: Tensor
    """Its rows of the visual codes."""
    cond: Tensor
    """Hidden states of a frame's codes, [N, D]."""
    uncond: Tensor
    """The same of the branch without text."""
    codes: Tensor
    """The frame's codes, -1 where masked."""
    step: Step
    """Which refinement it is."""

    @classmethod
    def of(cls, work: Work, moment: Moment, dtype: torch.dtype, *, device: torch.device) -> "Head":
        """Return one with random weights and states."""
        config, vocab = work.config, work.config.vocabulary
        generator = torch.Generator(device).manual_seed(0)
        weight = torch.randn(config.vocab_size, work.width, device=device, generator=generator).mul_(0.05).to(dtype)
        cond, uncond = torch.randn(2, work.num_codes, work.width, device=device, generator=generator).to(dtype)
        visual = weight[vocab.code_base : vocab.code_base + vocab.num_codes]
        return cls(
            weight=weight, visual=visual, cond=cond, uncond=uncond, codes=moment.codes.to(device), step=moment.step
        )

    def guided_logits(self, rows: slice | None = None) -> Tensor:
        """Return guided logits at all positions, of the visual codes, or of `rows` among the whole vocabulary's."""
        weight = self.visual if rows is None else self.weight
        logits = [(hidden @ weight.T).float() for hidden in (self.cond, self.uncond)]
        guided = logits[1] + SAMPLER.guidance_scale * (logits[0] - logits[1])
        return guided if rows is None else guided[:, rows]

    def guided(self) -> Tensor:
        """Return the hidden states guided before the head."""
        return guide(self.cond, self.uncond, scale=SAMPLER.guidance_scale)

    def gumbel(self, logits: Tensor, positions: Tensor) -> Tensor:
        """Return draws by Gumbel noise and, added, their probabilities from a whole softmax."""
        noise = GumbelNoise(0, len(self.codes))
        drawn = noise.draw(logits, frame=0, step=self.step.index, positions=positions)
        return drawn.float() + logits.softmax(dim=-1).gather(-1, drawn[:, None]).squeeze(-1)

    def in_chunks(self, hidden: Tensor) -> Tensor:
        """Return log probabilities of draws by the inverse distribution function, some rows at a time."""
        parts = []
        for part, u in zip(hidden.split(_CHUNK), torch.rand(len(hidden)).split(_CHUNK), strict=True):
            logits = linear(part, self.visual).float()
            drawn = inverse_cdf(logits, u.to(logits.device))
            parts.append(logits.gather(-1, drawn[:, None]).squeeze(-1) - logits.logsumexp(dim=-1))
        return torch.cat(parts)

    def refined(self, hidden: Tensor) -> Tensor:
        """Return the codes [1, N] after our refinement, from the states of the masked positions."""
        noise = [GeneratorNoise(0)]
        frame = FrameCodes(codes=self.codes[None], num_masked=(len(hidden),))
        return refine(frame, hidden, weight=self.visual, noise=noise, step=self.step, sampler=SAMPLER).codes


def head_paths(
    work: Work, moment: Moment, dtype: torch.dtype, device: torch.device
) -> tuple[dict[str, Callable[[], Tensor]], dict[str, float]]:
    """Return the ways by name, each a saving more than the one before, and the FLOPs of their products."""
    head, vocab = Head.of(work, moment, dtype, device=device), work.config.vocabulary
    rows = slice(vocab.code_base, vocab.code_base + vocab.num_codes)
    masked = (head.codes == MASKED).nonzero().flatten()
    every = torch.arange(work.num_codes, device=device)
    paths = {
        "whole vocabulary, two branches": lambda: head.gumbel(head.guided_logits(rows), every),
        "+ visual rows": lambda: head.gumbel(head.guided_logits(), every),
        "+ guidance before the head": lambda: head.gumbel((head.guided() @ head.visual.T).float(), every),
        "+ masked positions": lambda: head.gumbel((head.guided()[masked] @ head.visual.T).float(), masked),
        "+ chunks, inverse-CDF draws": lambda: head.in_chunks(head.guided()[masked]),
        "ours, with re-masking": lambda: head.refined(head.guided()[masked]),
    }
    one = 2.0 * work.width * vocab.num_codes  # FLOPs of a position's visual logits
    whole = 2.0 * work.width * work.config.vocab_size
    positions = work.num_codes
    counts = [2 * positions * whole, 2 * positions * one, positions * one, *[len(masked) * one] * 3]
    return paths, dict(zip(paths, counts, strict=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return status_of("benchmarks.lumos1.head", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(args: argparse.Namespace) -> int:
    """Measure, print and write."""
    work, device = WORKS[args.work], torch.device(args.device)
    moment, comparisons = Moment.of(work), {}
    with torch.inference_mode():
        for name in args.dtypes:
            paths, flops = head_paths(work, moment, _DTYPES[name], device)
            comparisons[f"head and draws {name}"] = compare(paths, rounds=args.rounds, flops=flops, device=device)
    rates = {name: matmul_rate(_DTYPES[name], device=device) for name in args.dtypes}
    notes = {"codes": work.num_codes, "masked": int((moment.codes == MASKED).sum())}
    title = f"Head and draws, {args.work} on {args.device}"
    write_report(args.out, title=title, comparisons=comparisons, rates=rates, device=device, notes=notes)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="python -m benchmarks.lumos1.head", description=__doc__)
    parser.add_argument("--work", choices=WORKS, default="tiny", help="size (benchmarks.lumos1.work)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtypes", nargs="+", choices=_DTYPES, default=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=output_file, help="json file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
