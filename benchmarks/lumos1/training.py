"""`python -m benchmarks.lumos1.training --work mid`: one training step, the literal way and ours, side by side.

A step is forward, backward, clipping and AdamW on one sequence as training makes it: AR-DF masks, text of 120 tokens.
The literal way attends under a dense mask, makes fp32 logits of the whole vocabulary at every token, and runs AdamW as
a loop. The table's peak is what comes on top of the weights and the optimiser's state; gradients come and go with each
step, and the notes give the peak beyond them too: a step's memory less the 16 bytes a parameter needed in any case.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from benchmarks.lumos1.literal import literal_hidden
from benchmarks.lumos1.work import WORKS, Work, random_codes, random_model, random_prompt
from benchmarks.measure import Comparison, compare, matmul_rate
from benchmarks.report import output_file, write_report
from lumos.lumos1.config import ARDFConfig
from lumos.lumos1.model.attention import frame_causal_mask
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sequence import Clip
from lumos.lumos1.training.items.samples import Sample
from lumos.lumos1.training.task import LumosTask, LumosTaskConfig
from xllmx.optimisation.optim import OptimConfig, build_optimizer
from xllmx.rng import generator_for
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.task import Prepared, move

VARIANTS = (
    "literal fp32",
    "literal bf16",
    "fast fp32",
    "fast bf16",
    "fast bf16 checkpointed",
    "fast bf16 compiled",
    "fast fp32 checkpointed",
)


class TrainingStep:
    """A model, its optimiser and a sequence; every call trains it one step further, one way or the other."""

    def __init__(self, work: Work, *, num_frames: int, device: torch.device, attention: str = "per_frame") -> None:
        self.work, self.device, self.num_frames = work, device, num_frames
        self.task = LumosTask(
            LumosTaskConfig(model=fields_of(work), attention=attention, ardf=ARDFConfig(cfg_drop=0.0))
        )
        self.model = random_model(work, device=device).train()
        self.optimizer = build_optimizer(self.model, OptimConfig(lr=1e-5))
        for parameter in self.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        self.optimizer.step()  # makes the optimiser's state
        self.optimizer.zero_grad(set_to_none=True)
        self._blocks = list(self.model.model.layers)

    def prepared(self) -> Prepared:
        """Return the batch of one sequence, on the device."""
        drawn = self.task.prepare([sample_of(self.work, self.num_frames)], generator_for(0))
        return Prepared(
            inputs=move(drawn.inputs, self.device),
            targets=move(drawn.targets, self.device),
            num_targets=drawn.num_targets,
            num_tokens=drawn.num_tokens,
            flops=drawn.flops,
        )

    def run(self, batch: Prepared, *, literal: bool, precision: str, checkpointed: bool = False) -> Tensor:
        """Return the mean loss of the step."""
        with (
            checkpointing(self._blocks if checkpointed else []),
            torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bf16"),
        ):
            total = literal_loss(self.model, batch) if literal else self.task.loss(self.model, batch).sum
        loss = total / batch.num_targets
        with checkpointing(self._blocks if checkpointed else []):
            loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 4.0, foreach=not literal)
        for group in self.optimizer.param_groups:
            group["fused"], group["foreach"] = not literal, False
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def variant(self, name: str, batch: Prepared) -> Callable[[], Tensor]:
        """Return one of `VARIANTS` as a call; `compiled` compiles the blocks of this model for good."""
        if "compiled" in name:
            for block in self._blocks:
                block.compile()
        precision = "bf16" if "bf16" in name else "fp32"
        return partial(
            self.run, batch, literal="literal" in name, precision=precision, checkpointed="checkpointed" in name
        )

    def flops(self, name: str, batch: Prepared) -> float:
        """Return the FLOPs of forward and backward; the literal way attends to all pairs and has all logits."""
        if "literal" not in name:
            return float(batch.flops)
        config, length = self.work.config, batch.inputs["input_ids"].shape[1]
        width, heads = config.hidden_size, config.num_attention_heads * config.head_dim
        kv = config.num_key_value_heads * config.head_dim
        linear = 2 * length * (width * (2 * heads + 2 * kv) + 3 * width * self.work.inner)
        blocks = self.work.num_layers * (linear + 4 * heads * length**2)
        return 3.0 * (blocks + 2 * length * width * config.vocab_size)


def literal_loss(model: LumosForCausalLM, batch: Prepared) -> Tensor:
    """Return the cross entropy summed over the masked codes, among visual logits, from logits of everything."""
    inputs, vocab = batch.inputs, model.vocab
    mask = frame_causal_mask(inputs["blocks"])
    hidden = literal_hidden(model, inputs["input_ids"], inputs["positions"], mask)
    logits = model.lm_head(hidden).float().flatten(0, 1)
    labels = torch.full((len(logits),), -100, device=logits.device).index_copy(0, inputs["scored"], batch.targets)
    codes = logits[:, vocab.code_base : vocab.code_base + vocab.num_codes]
    return F.cross_entropy(codes, labels, ignore_index=-100, reduction="sum")


@contextmanager
def checkpointing(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """A context in which the blocks keep only their inputs for the backward."""
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


def sample_of(work: Work, num_frames: int) -> Sample:
    """Return a random clip as a training sample."""
    codes = random_codes(work, num_frames).reshape(num_frames, *work.grid)
    clip = Clip(
        prompt_ids=np.append(work.config.vocabulary.bos, random_prompt(work).numpy()).astype(np.int32),
        caption="",
        codes=codes.numpy().astype(np.uint16),
        fps=12,
        duration=2,
        source="random",
    )
    return Sample(clip=clip, modes=("text_to_video",), cfg_drop=0.0)


def fields_of(work: Work) -> dict[str, Any]:
    """Return the model's settings as a task takes them."""
    names = ("vocab_size", "vocab", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    return {name: getattr(work.config, name) for name in (*names, "num_key_value_heads")}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return status_of("benchmarks.lumos1.training", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(args: argparse.Namespace) -> int:
    """Measure, print and write."""
    work, device = WORKS[args.work], torch.device(args.device)
    comparisons: dict[str, Comparison] = {}
    notes: dict[str, Any] = {"work": args.work, "clock": "CPU time" if args.cpu_time else "wall time"}
    for num_frames in args.frames:
        step = TrainingStep(work, num_frames=num_frames, device=device, attention=args.attention)
        batch = step.prepared()
        paths = {name: step.variant(name, batch) for name in args.variants}
        flops = {name: step.flops(name, batch) for name in args.variants}
        title = f"{num_frames} frames, {batch.num_tokens} tokens, {batch.num_targets} masked codes"
        comparisons[title] = compare(
            paths,
            rounds=args.rounds,
            flops=flops,
            device=device,
            clock=time.process_time if args.cpu_time else time.perf_counter,
        )
        timings = comparisons[title].timings
        gradients = sum(4 * parameter.numel() for parameter in step.model.parameters())
        beyond = {name: (timing.peak_bytes - gradients) / 2**20 for name, timing in timings.items()}
        notes[f"{num_frames} frames, peak MiB beyond weights, gradients, optimiser"] = {
            name: f"{peak:.0f} ({peak / beyond[args.variants[0]]:.3f})" for name, peak in beyond.items()
        }
        del step
    used = {name: dtype for name, dtype in _DTYPES.items() if any(name in variant for variant in args.variants)}
    rates = {name: matmul_rate(dtype, device=device) for name, dtype in used.items()}
    title = f"Training, one step, {args.work} on {args.device}"
    write_report(args.out, title=title, comparisons=comparisons, rates=rates, device=device, notes=notes)
    return 0


_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="python -m benchmarks.lumos1.training", description=__doc__)
    parser.add_argument("--work", choices=WORKS, default="tiny", help="size (benchmarks.lumos1.work)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--frames", nargs="+", type=int, default=[2], help="latent frames of the sequence; a curve")
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANTS, default=VARIANTS[:5], help="the first is compared to"
    )
    parser.add_argument("--attention", default="per_frame", help="of the fast path: per_frame or flex")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu_time", action="store_true", help="time of one thread, on a core that others use too")
    parser.add_argument("--out", type=output_file, help="json file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
