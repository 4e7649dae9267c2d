"""`python -m benchmarks.head`: from hidden states to drawn codes, the literal way and with one saving after another.

Literal: logits of the whole vocabulary in fp32 at every position of both branches, guidance of logits, Gumbel noise.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.literal import GumbelNoise
from benchmarks.measure import compare, matmul_rate, write_report
from benchmarks.sampling import SAMPLER, Moment
from benchmarks.work import WORKS, Work
from lumos.model.linear import linear
from lumos.sampler import MASKED, GeneratorNoise, guide, inverse_cdf, refine

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_CHUNK = 128


def head_paths(
    work: Work, moment: Moment, dtype: torch.dtype, device: torch.device
) -> tuple[dict[str, Callable[[], Tensor]], dict[str, float]]:
    """Returns the ways by name, each a saving more than the one before, and the FLOPs of their products."""
    config, vocab = work.config, work.config.vocabulary
    generator = torch.Generator(device).manual_seed(0)
    weight = torch.randn(config.vocab_size, work.width, device=device, generator=generator).mul_(0.05).to(dtype)
    cond, uncond = torch.randn(2, work.num_codes, work.width, device=device, generator=generator).to(dtype)
    visual = weight[vocab.code_base : vocab.code_base + vocab.num_codes]
    codes, scale = moment.codes.to(device), SAMPLER.guidance_scale
    undecided = (codes == MASKED).nonzero().flatten()
    every = torch.arange(work.num_codes, device=device)
    gumbel, noise, step = GumbelNoise(0, work.num_codes), GeneratorNoise(0), moment.step

    def gumbel_draw(logits: Tensor, positions: Tensor) -> Tensor:
        drawn = gumbel.draw(logits, frame=0, step=step.index, positions=positions)
        return drawn.float() + logits.softmax(dim=-1).gather(-1, drawn[:, None]).squeeze(-1)

    def literal() -> Tensor:
        logits = [(hidden @ weight.T).float() for hidden in (cond, uncond)]
        return gumbel_draw((logits[1] + scale * (logits[0] - logits[1]))[:, vocab.code_base :][:, : len(visual)], every)

    def visual_rows() -> Tensor:
        logits = [(hidden @ visual.T).float() for hidden in (cond, uncond)]
        return gumbel_draw(logits[1] + scale * (logits[0] - logits[1]), every)

    def guided_before() -> Tensor:
        return gumbel_draw((guide(cond, uncond, scale=scale) @ visual.T).float(), every)

    def masked_only() -> Tensor:
        return gumbel_draw((guide(cond, uncond, scale=scale)[undecided] @ visual.T).float(), undecided)

    def in_chunks() -> Tensor:
        u = torch.rand(len(undecided), device=device)
        hidden = guide(cond, uncond, scale=scale)[undecided]
        parts = []
        for part, share in zip(hidden.split(_CHUNK), u.split(_CHUNK), strict=True):
            logits = linear(part, visual).float()
            drawn = inverse_cdf(logits, share)
            parts.append(logits.gather(-1, drawn[:, None]).squeeze(-1) - logits.logsumexp(dim=-1))
        return torch.cat(parts)

    def ours() -> Tensor:
        hidden = guide(cond, uncond, scale=scale)[undecided]
        return refine(codes[None], hidden, weight=visual, noise=[noise], step=step, sampler=SAMPLER)

    paths = {
        "whole vocabulary, two branches": literal,
        "+ visual rows": visual_rows,
        "+ guidance before the head": guided_before,
        "+ masked positions": masked_only,
        "+ chunks, inverse-CDF draws": in_chunks,
        "ours, with re-masking": ours,
    }
    full = 2.0 * work.num_codes * work.width
    masked = 2.0 * len(undecided) * work.width * len(visual)
    counts = [2 * full * config.vocab_size, 2 * full * len(visual), full * len(visual), masked, masked, masked]
    return paths, dict(zip(paths, counts, strict=True))


def main() -> None:
    """Measures, prints and writes."""
    args = _parser().parse_args()
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.head", description=__doc__)
    parser.add_argument("--work", choices=WORKS, default="tiny", help="size (benchmarks/work.py)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtypes", nargs="+", choices=_DTYPES, default=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="json file")
    return parser


if __name__ == "__main__":
    main()
