"""`python -m benchmarks.arithmetic`: FLOPs and bytes of a refinement and of a training step, literal and ours.

A table in Markdown for benchmarks/RESULTS.md. Nothing is run: the times are what an H200 could do at best, the larger
of FLOPs at its rate of bf16 products and bytes at its memory's rate. The mean refinement of a clip of 7 latent frames;
a training step on one such clip with 80 % of its codes masked, without recomputation.
"""

import sys
from collections.abc import Sequence

from benchmarks.lumos1.sampling import Moment, step_flops
from benchmarks.lumos1.work import WORKS, Work
from lumos.cli.exit_status import status_of
from lumos.cli.option import OptionParser
from lumos.lumos1.sampling.refine import MASKED
from lumos.lumos1.training.cost import BatchLoad, SequenceShape, forward_flops

H200_FLOPS = 790e12
"""bf16 products per second: what large matrices reach."""
H200_BYTES = 4.3e12
"""Bytes per second of its memory."""
NAMES = ("1b-class", "1b-class-384p", "3b-class", "3b-class-384p")
MASKED_SHARE = 0.8


def sampling_bytes(work: Work, moment: Moment, *, literal: bool) -> float:
    """Return the bytes that one refinement moves in bf16: weights, caches, logits; activations between are left out.

    Literal, both branches: the weights twice, caches read and written anew, logits in bf16, as fp32, guided, and their
    softmax. Ours: the weights once, the caches read, fp32 logits written once and read four times.
    """
    config, masked = work.config, int((moment.codes == MASKED).sum())
    kv = 2 * config.num_key_value_heads * config.head_dim * work.num_layers
    keys = 2 * (work.frame_length * (len(moment.history) + 1) + work.num_prompt_ids + 1) + 6
    cache = 2 * kv * keys
    if literal:
        logits = work.frame_length * config.vocab_size
        return 2 * 2 * _block_weights(work) + 3 * cache + logits * (2 * (2 + 2 + 4 + 4) + 4 + 4 * 4)
    return 2 * _block_weights(work) + cache + masked * config.vocabulary.num_codes * 4 * 5


def training(work: Work, *, literal: bool) -> tuple[float, float]:
    """Return FLOPs and bytes of the largest intermediates of a training step on one clip.

    Literal: attention of all pairs under a dense mask, logits of the whole vocabulary at every token in bf16, fp32 and
    as gradients. Ours: the pairs the rule allows, logits at masked codes in chunks that never leave the caches.
    """
    config = work.config
    shape = SequenceShape(num_prompt_ids=work.num_prompt_ids, grid=(work.num_latent_frames, *work.grid))
    load = BatchLoad.of(shape, batch_size=1, masked_share=MASKED_SHARE)
    if not literal:
        return 3.0 * sum(forward_flops(config, load)), 0.0
    dense = BatchLoad(num_tokens=shape.length, attended_pairs=shape.length**2, num_targets=shape.length)
    blocks, _ = forward_flops(config, dense)
    head = 2.0 * shape.length * work.width * config.vocab_size
    return 3.0 * (blocks + head), shape.length * config.vocab_size * (2 + 4 + 4 + 2.0) + shape.length**2


def table() -> str:
    """Return the table."""
    lines = [
        "| class, size | step | literal TFLOP | ours TFLOP | literal GB | ours GB | H200 at best, ours |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in NAMES:
        work = WORKS[name]
        moment, size = Moment.of(work), f"{work.grid[1] * 8}x{work.grid[0] * 8}"
        flops = [sum(step_flops(work, moment, literal=flag).values()) for flag in (True, False)]
        moved = [sampling_bytes(work, moment, literal=flag) for flag in (True, False)]
        lines.append(_row(f"{name[:2].upper()} {size}", "refinement", flops, moved))
        trained = [training(work, literal=flag) for flag in (True, False)]
        weights = 2 * work.width * work.config.vocab_size + _block_weights(work)
        states = weights * (2 + 2 + 2 * 4 + 2 * 4 + 2 * 4)  # bf16 read twice; gradient, fp32 weight and moments
        lines.append(_row("", "training", [each[0] for each in trained], [each[1] + states for each in trained]))
    return "\n".join(lines)


def _row(name: str, step: str, flops: list[float], moved: list[float]) -> str:
    at_best = max(flops[1] / H200_FLOPS, moved[1] / H200_BYTES)
    numbers = [f"{value / 1e12:.1f}" for value in flops] + [f"{value / 1e9:.1f}" for value in moved]
    return f"| {name} | {step} | {' | '.join(numbers)} | {at_best * 1e3:.1f} ms |"


def _block_weights(work: Work) -> int:
    config = work.config
    heads, kv = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
    return work.num_layers * work.width * (2 * heads + 2 * kv + 3 * work.inner)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return the exit status (`lumos.cli.exit_status`)."""

    def command() -> int:
        OptionParser(prog="python -m benchmarks.arithmetic", description=__doc__).parse_args(arguments)
        print(table())
        return 0

    return status_of("benchmarks.arithmetic", command, words=arguments)


if __name__ == "__main__":
    sys.exit(main())
