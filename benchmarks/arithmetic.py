"""`python -m benchmarks.arithmetic`: FLOPs and bytes of a refinement and of a training step, literal and ours.

A table in Markdown for benchmarks/RESULTS.md, or with --first_run those of benchmarks/FIRST_RUN.md. Nothing is run: the
times are what a GPU could do at best, the larger of FLOPs at its rate of bf16 products and bytes at its memory's rate.
The mean refinement of a clip of 7 latent frames; a training step on one such clip with 80 % of its codes masked,
without recomputation.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from benchmarks import generation_cost
from benchmarks.gpus import GPUS, REACHED
from benchmarks.lumina_video import arithmetic as lumina_video
from benchmarks.lumos1.sampling import Moment, step_flops
from benchmarks.lumos1.training import fields_of
from benchmarks.lumos1.work import WORKS, Work
from lumos.cli.training.estimate.dry_run import RunEstimate, estimate_run
from lumos.cli.training.training_run import RunConfig
from lumos.lumina_video.cost import activation_bytes, num_tokens, weight_bytes
from lumos.lumina_video.settings import MADE_FOR, LuminaVideoSettings
from lumos.lumina_video.settings import resolve_settings as lumina_video_settings
from lumos.lumos1.sampling import cost
from lumos.lumos1.sampling.refine import MASKED
from lumos.lumos1.sampling.settings import resolve_settings
from lumos.lumos1.sequence import num_frames_of
from lumos.lumos1.training.cost import BatchLoad, SequenceShape, forward_flops
from lumos.lumos1.training.task import LumosTaskConfig
from xllmx.ranks.parallel import ParallelConfig
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.trainer import TrainerConfig

NAMES = ("1b-class", "1b-class-384p", "3b-class", "3b-class-384p")
MASKED_SHARE = 0.8
_HEADER = 3
"""Tokens before the first frame in both branches."""
_RUN = "f16F64R512-MultiScale"
_LARGE = "f24F96R960-MultiScale"


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
        moment, size = Moment.of(work), _size(work)
        flops = [sum(step_flops(work, moment, literal=flag).values()) for flag in (True, False)]
        moved = [sampling_bytes(work, moment, literal=flag) for flag in (True, False)]
        lines.append(_row(f"{name[:2].upper()} {size}", "refinement", flops, moved))
        trained = [training(work, literal=flag) for flag in (True, False)]
        weights = 2 * work.width * work.config.vocab_size + _block_weights(work)
        states = weights * (2 + 2 + 2 * 4 + 2 * 4 + 2 * 4)  # bf16 read twice; gradient, fp32 weight and moments
        lines.append(_row("", "training", [each[0] for each in trained], [each[1] + states for each in trained]))
    return "\n".join(lines)


def _row(name: str, step: str, flops: list[float], moved: list[float]) -> str:
    at_best = REACHED.seconds(flops[1], moved[1])
    numbers = [f"{value / 1e12:.1f}" for value in flops] + [f"{value / 1e9:.1f}" for value in moved]
    return f"| {name} | {step} | {' | '.join(numbers)} | {at_best * 1e3:.1f} ms |"


def _block_weights(work: Work) -> int:
    config = work.config
    heads, kv = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
    return work.num_layers * work.width * (2 * heads + 2 * kv + 3 * work.inner)


def first_run() -> str:
    """Return the tables of FIRST_RUN.md: speed and memory of one card, what eight exchange."""
    speed = ["| number | part | work | " + " | ".join(gpu.name for gpu in GPUS) + " |", "|---|---|---|---|---|"]
    memory = ["| what | GiB | " + " | ".join(f"of {gpu.name}'s" for gpu in GPUS) + " |", "|---|---|---|---|"]
    for name, num_bytes in _memories():
        shares = " | ".join(f"{num_bytes / gpu.memory_bytes:.0%}" for gpu in GPUS)
        memory.append(f"| {name} | {num_bytes / 2**30:.1f} | {shares} |")
    return "\n\n".join("\n".join(lines) for lines in ([*speed, *_speeds()], memory, list(_eight_cards())))


def _speeds() -> Iterator[str]:
    rates = " | ".join(f"{gpu.flops / 1e12:.0f} TFLOP/s" for gpu in GPUS)
    yield f"| bf16 product of 8192^3 | rates | 1.1 TFLOP | {rates} |"
    copies = " | ".join(f"{gpu.bytes_per_s / 1e9:.0f} GB/s" for gpu in GPUS)
    yield f"| copy, read and written | rates | 2.1 GB | {copies} |"
    for name in NAMES[:2]:
        work, moment = WORKS[name], Moment.of(WORKS[name])
        flops, moved = (
            sum(step_flops(work, moment, literal=False).values()),
            sampling_bytes(work, moment, literal=False),
        )
        yield _speed(f"refinement, {_size(work)}", "refinement", flops, moved)
        for text, frames in (("first latent frame", 1), ("7 latent frames", 7)):
            yield _speed(
                f"{text}, {_size(work)}", "clip", cost.generation_flops(work.config, generation(work, frames=frames))
            )
    settings = lumina_video_settings({}, {"preset": _RUN})
    for scale in lumina_video.CONFIG.scales:
        tokens = num_tokens(settings.latent_shape, scale)
        times = [
            1e3 * max(lumina_video.step_seconds(settings.latent_shape, scale, branches=2, gpu=gpu)) for gpu in GPUS
        ]
        yield f"| guided step at {scale}, {tokens} tokens | flow | | {' | '.join(f'{ms:.1f} ms' for ms in times)} |"
    runs = " | ".join(f"{lumina_video.run_seconds(settings, gpu=gpu):.1f} s" for gpu in GPUS)
    yield f"| multi-scale run, 69 steps | flow | | {runs} |"
    for size in ((448, 256), (672, 384)):
        for recomputed in (False, True):
            run = reckoned_run(WORKS["1b-class"], size=size, checkpointing=recomputed)
            flops = run.step_flops("video") + run.redone_flops("video")
            kept = "recomputed" if recomputed else "kept"
            yield _speed(f"training step, {size[0]}x{size[1]}, activations {kept}", "training", flops)


def _memories() -> Iterator[tuple[str, int]]:
    for name in NAMES:
        for clips in (1, 8):
            yield f"{clips} of {_title(name)}", clip_bytes(WORKS[name], batch_size=clips)
    for preset in (_RUN, _LARGE):
        settings = lumina_video_settings({}, {**MADE_FOR[preset], "preset": preset})
        yield f"Lumina-Video, {settings.width}x{settings.height}, {settings.num_frames} frames", flow_bytes(settings)
    for name, size in (("1b-class", (448, 256)), ("1b-class", (672, 384)), ("3b-class", (448, 256))):
        for recomputed in (False, True):
            run = reckoned_run(WORKS[name], size=size, checkpointing=recomputed)
            kept = "recomputed" if recomputed else "kept"
            what = f"training, {name[:2].upper()} {size[0]}x{size[1]}, activations {kept}"
            yield what, run.peak_bytes(checkpointing=recomputed)


def _eight_cards() -> Iterator[str]:
    """What full sharding over 8 cards exchanges in a step: weights gathered twice in bf16, gradients summed in fp32."""
    yield "| 8 cards, a clip of 448x256 each | GiB a card | GB a card exchanges in a step | takes | a step's products |"
    yield "|---|---|---|---|---|"
    gpu = GPUS[-1]
    for name in ("1b-class", "3b-class"):
        run = reckoned_run(WORKS[name], size=(448, 256), checkpointing=True, num_gpus=8)
        exchanged = 7 / 8 * sum(run.units.values()) * (2 + 2 + 4)
        step_s = gpu.seconds(run.step_flops("video") + run.redone_flops("video"))
        taken_s = exchanged / gpu.link_bytes_per_s
        peak = run.peak_bytes(checkpointing=True) / 2**30
        numbers = f"{peak:.1f} | {exchanged / 1e9:.1f} | {taken_s * 1e3:.0f} ms | {step_s * 1e3:.0f} ms"
        yield f"| {name[:2].upper()}, activations recomputed | {numbers} |"


def _speed(name: str, part: str, flops: float, moved: float = 0) -> str:
    times = [gpu.seconds(flops, moved) for gpu in GPUS]
    shown = " | ".join(f"{s:.1f} s" if s >= 1 else f"{s * 1e3:.1f} ms" for s in times)
    return f"| {name} | {part} | {flops / 1e12:.1f} TFLOP{f', {moved / 1e9:.1f} GB' if moved else ''} | {shown} |"


def reckoned_run(work: Work, *, size: tuple[int, int], checkpointing: bool, num_gpus: int = 1) -> RunEstimate:
    """Return what --dry-run says of training this model on clips of a size, one a card."""
    config = RunConfig(
        trainer=TrainerConfig(run_dir=Path("unused"), max_steps=1),
        parallel=ParallelConfig(activation_checkpointing=checkpointing),
        task=LumosTaskConfig(model=fields_of(work), data={"video": "unused"}),
    )
    return estimate_run(config, num_gpus=num_gpus, size=size)


def flow_bytes(settings: LuminaVideoSettings) -> int:
    """Return the bytes that sampling one clip with the released Lumina-Video takes in bf16, VAE and texts apart."""
    config, bf16 = lumina_video.CONFIG, torch.bfloat16
    largest = activation_bytes(config, settings.latent_shape, preset=settings.preset, dtype=bf16)
    return weight_bytes(config, bf16) + largest


def _size(work: Work) -> str:
    return f"{work.grid[1] * 8}x{work.grid[0] * 8}"


def _title(name: str) -> str:
    return f"{name[:2].upper()} {_size(WORKS[name])}"


def generation(work: Work, *, frames: int, num_steps: int = 50) -> cost.Generation:
    """Return one clip of so many latent frames, to reckon with: prompt of `work`, guidance, 12 fps."""
    height, width = (8 * side for side in work.grid)
    size = {"width": width, "height": height, "num_frames": num_frames_of(frames), "fps": 12 if frames > 1 else 1}
    settings = resolve_settings({}, {**size, "guidance_scale": 15.0, "num_inference_steps": num_steps})
    return cost.Generation(settings=settings, num_text_tokens=[work.num_prompt_ids + 1 + _HEADER, _HEADER])


def clip_bytes(work: Work, *, batch_size: int = 1) -> int:
    """Return the bytes that so many clips at once take in bf16: weights, keys and values, the largest pass."""
    clip, bf16 = generation(work, frames=work.num_latent_frames), torch.bfloat16
    caches = batch_size * cost.cache_bytes(work.config, clip, bf16)
    largest = cost.activation_bytes(work.config, clip, bf16, batch_size=batch_size)
    return cost.weight_bytes(work.config, bf16) + caches + largest


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return the exit status (`xllmx.run.exit_status`)."""

    def command() -> int:
        parser = OptionParser(prog="python -m benchmarks.arithmetic", description=__doc__)
        parser.add_argument("--first_run", action="store_true", help="the tables of benchmarks/FIRST_RUN.md")
        parser.add_argument(
            "--generation", action="store_true", help="the table of README.md: clips of released models"
        )
        options = parser.parse_args(arguments)
        print(first_run() if options.first_run else generation_cost.table() if options.generation else table())
        return 0

    return status_of("benchmarks.arithmetic", command, words=arguments)


if __name__ == "__main__":
    sys.exit(main())
