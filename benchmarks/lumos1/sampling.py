"""`python -m benchmarks.lumos1.sampling --work mid`: one refinement of a frame, the literal way and ours, side by side.

The frame is the middle one of the clip, at the refinement where as many codes are masked as on average (65 %). Its two
parts are timed too: the blocks' pass over the frame, and the head with the draws.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.lumos1.literal import GumbelNoise, LiteralDecoder
from benchmarks.lumos1.work import WORKS, Work, random_codes, random_model, random_prompt
from benchmarks.measure import compare, matmul_rate
from benchmarks.report import output_file, write_report
from lumos.lumos1.ardf import history_pattern
from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.model.linear import linear
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling.frame_decoder import FrameDecoder
from lumos.lumos1.sampling.guidance import GuidedFrame
from lumos.lumos1.sampling.noise import GeneratorNoise
from lumos.lumos1.sampling.refine import MASKED, FrameCodes, refine
from lumos.lumos1.sampling.schedule import Step, num_masked
from lumos.lumos1.sequence import video_header
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser

SAMPLER = SamplerConfig()
_PARTS = ("refinement", "blocks", "head")
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A frame in the middle of its refinements, its history in the caches."""

    codes: Tensor
    """[N], -1 where masked."""
    step: Step
    """Which refinement comes next."""
    history: Tensor
    """Codes of the frames before, [T', N]."""

    @classmethod
    def of(cls, work: Work) -> "Moment":
        """Return the mean moment of `work`: the middle frame, at the refinement nearest the mean masked share."""
        counts = [work.num_codes]
        for index in range(SAMPLER.num_steps - 1):
            counts.append(
                num_masked(index, num_steps=SAMPLER.num_steps, unknown=counts[-1], num_positions=work.num_codes)
            )
        mean = sum(counts) / len(counts)
        index = min(range(len(counts)), key=lambda i: abs(counts[i] - mean))
        *history, codes = random_codes(work, work.mean_frame + 1)
        hidden = torch.randperm(work.num_codes, generator=torch.Generator().manual_seed(3))[: counts[index]]
        codes = codes.scatter(0, hidden, MASKED)
        return cls(codes=codes, step=Step(frame=len(history), index=index, first=False), history=torch.stack(history))


class Fast:
    """Our path at a moment."""

    def __init__(self, model: LumosForCausalLM, work: Work, moment: Moment, *, graphs: bool = False) -> None:
        self._moment, self._frame = moment, FrameCodes.of(moment.codes.to(model.device)[None])
        self._decoder = FrameDecoder(
            model,
            [[text] for text in texts_of(model, work)],
            grid=work.grid,
            num_latent_frames=work.num_latent_frames,
            graphs=graphs,
        )
        pattern = history_pattern(work.grid[0] * (work.grid[1] + 1), SAMPLER.mask_history_ratio).to(model.device)[None]
        self._decoder.read_text()
        for codes in moment.history.to(model.device):
            self._decoder.keep_frame(codes[None], masked_content=pattern)
        self._noise = [GeneratorNoise(0)]

    def blocks(self) -> Tensor:
        """Return the guided hidden states of the masked positions."""
        return self._hidden(self._frame)

    def hidden(self, codes: Tensor) -> Tensor:
        """Return the guided hidden states of the masked positions of the frame at other codes, [1, N]."""
        return self._hidden(FrameCodes.of(codes))

    @torch.inference_mode()
    def _hidden(self, frame: FrameCodes) -> Tensor:
        return GuidedFrame(self._decoder, SAMPLER).hidden(frame)

    @torch.inference_mode()
    def head(self, hidden: Tensor) -> Tensor:
        """Return the codes after the refinement."""
        weight, step = self._decoder.visual_weight, self._moment.step
        return refine(self._frame, hidden, weight=weight, noise=self._noise, step=step, sampler=SAMPLER).codes

    def step(self) -> Tensor:
        """Return the codes after the refinement."""
        return self.head(self.blocks())


def literal_step(model: LumosForCausalLM, work: Work, moment: Moment) -> Callable[[], Tensor]:
    """Return the literal path at a moment, as a call."""
    codes, noise = moment.codes.to(model.device), GumbelNoise(0, work.num_codes)
    with torch.inference_mode():
        decoder = LiteralDecoder(model, texts_of(model, work), grid=work.grid)
        for frame in moment.history.to(model.device):
            decoder.keep_frame(frame, ratio=SAMPLER.mask_history_ratio)

    @torch.inference_mode()
    def step() -> Tensor:
        return decoder.refine(codes, noise=noise, step=moment.step, sampler=SAMPLER)

    return step


def texts_of(model: LumosForCausalLM, work: Work) -> list[Tensor]:
    """Return the texts of both branches."""
    header = video_header(model.vocab, fps=12, duration=2)
    return [torch.cat([random_prompt(work), torch.tensor([model.vocab.separator]), header]), header]


def step_flops(work: Work, moment: Moment, *, literal: bool) -> dict[str, float]:
    """Return the FLOPs of one refinement by part, both branches: `blocks` (linears and attention) and `head`.

    The literal path makes every position's logits of the whole vocabulary; ours has visual codes at masked positions,
    once for both branches, and no query, output or MLP of other positions in the last block.
    """
    config, masked = work.config, int((moment.codes == MASKED).sum())
    width, heads = config.hidden_size, config.num_attention_heads * config.head_dim
    kv = config.num_key_value_heads * config.head_dim
    frames = work.frame_length * (len(moment.history) + 1)
    keys = 2 * frames + work.num_prompt_ids + 1 + 2 * 3  # of both branches
    per_token = 2 * (2 * width * heads + 3 * width * work.inner)
    all_tokens = 2 * work.frame_length * (per_token + 4 * width * kv) + 4 * heads * keys * work.frame_length
    last = 2 * (masked * per_token + work.frame_length * 4 * width * kv) + 4 * heads * keys * masked
    if literal:
        head = 2 * work.frame_length * 2 * width * config.vocab_size
        return {"blocks": work.num_layers * all_tokens, "head": head}
    head = 2 * masked * width * config.vocabulary.num_codes
    return {"blocks": (work.num_layers - 1) * all_tokens + last, "head": head}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return status_of("benchmarks.lumos1.sampling", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(args: argparse.Namespace) -> int:
    """Measure, print and write."""
    work, device = WORKS[args.work], torch.device(args.device)
    moment = Moment.of(work)
    ours, literal = (step_flops(work, moment, literal=flag) for flag in (False, True))
    steps: dict[str, Callable[[], object]] = {}
    parts: dict[str, dict[str, Callable[[], object]]] = {"refinement": steps, "blocks": {}, "head": {}}
    notes: dict[str, Any] = {"work": args.work, "masked": int((moment.codes == MASKED).sum()), "codes": work.num_codes}
    hidden: dict[str, Tensor] = {}
    for name in args.dtypes:
        model = random_model(work, dtype=_DTYPES[name], device=device)
        if name in args.literal and "refinement" in args.parts:
            steps[f"literal {name}"] = literal_step(model, work, moment)
        fast = Fast(model, work, moment)
        steps[f"fast {name}"], parts["blocks"][f"blocks {name}"] = fast.step, fast.blocks
        hidden[name] = fast.blocks()
        parts["head"][f"head {name}"] = partial(fast.head, hidden[name])
        if args.graphs:
            graphed = Fast(model, work, moment, graphs=True)
            steps[f"fast {name} CUDA graph"] = graphed.step
            notes[f"graph equals eager, {name}"] = bool(graphed.step().equal(fast.step()))
        if args.compile:
            for block in model.model.layers:
                block.compile()
            steps[f"fast {name} compiled"] = steps.pop(f"fast {name}")
    if len(hidden) == 2:
        error = (hidden["bf16"].float() - hidden["fp32"]).norm() / hidden["fp32"].norm()
        notes["bf16 hidden states, relative error"] = round(float(error), 4)
    rates = {name: matmul_rate(_DTYPES[name], device=device) for name in args.dtypes}
    if device.type == "cpu" and "fp32" in rates:
        notes["fp32 matmul by oneDNN, GFLOP/s"] = round(matmul_rate(torch.float32, product=linear) / 1e9)
    comparisons = {}
    for part in args.parts:
        counts = {
            name: ours[part] if part in ours else sum((literal if name.startswith("literal") else ours).values())
            for name in parts[part]
        }
        comparisons[part] = compare(parts[part], rounds=args.rounds, flops=counts, device=device)
    title = f"Sampling, one refinement, {args.work} on {args.device}"
    write_report(args.out, title=title, comparisons=comparisons, rates=rates, device=device, notes=notes)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="python -m benchmarks.lumos1.sampling", description=__doc__)
    parser.add_argument("--work", choices=WORKS, default="tiny", help="size (benchmarks.lumos1.work)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtypes", nargs="+", choices=_DTYPES, default=["fp32", "bf16"])
    parser.add_argument("--literal", nargs="*", choices=_DTYPES, default=["fp32"], help="dtypes of the literal path")
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--graphs", action="store_true", help="also as CUDA graphs, and whether the codes are the same")
    parser.add_argument("--compile", action="store_true", help="blocks through torch.compile")
    parser.add_argument("--out", type=output_file, help="json file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
