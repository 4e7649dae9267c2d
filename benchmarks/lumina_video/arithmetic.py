"""`python -m benchmarks.lumina_video.arithmetic`: what the released model costs, by scale and by run; an H200 at best.

Tables in Markdown for benchmarks/RESULTS.md. Nothing is run. One clip in bf16 with a text of 256 tokens; the least time
of a step of b branches is the larger of

    b * FLOPs of a pass / (790 TFLOP/s of bf16 products)      bytes of the step / (4.3 TB/s of memory)

where the FLOPs are those of `lumos.lumina_video.cost.pass_flops`, and the bytes those of `step_bytes`.
"""

import sys
from collections.abc import Sequence

import torch

from benchmarks.gpus import REACHED, Gpu
from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.cost import (
    TEXT_TOKENS,
    activation_bytes,
    num_tokens,
    pass_flops,
    run_flops,
    text_flops,
    weight_bytes,
)
from lumos.lumina_video.network.patches import Size
from lumos.lumina_video.preset import PRESETS, FlowPreset
from lumos.lumina_video.scale import Scale
from lumos.lumina_video.settings import MADE_FOR, LuminaVideoSettings, resolve_settings
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser

CONFIG = LuminaVideoConfig.named("MultiScaleNextDiT_2B_GQA")
BF16 = torch.bfloat16


def step_bytes(latent: Size, scale: Scale, *, branches: int) -> int:
    """Return the bytes that a step moves to and from memory, with every operation a kernel of its own.

    The weights once, as all branches are one batch; the text's keys and values of each branch; and of each token and
    block, D the width, K that of the keys, F that of the feed-forward layer, what is read and written by

        norms and residual sums     10 D            attention to video and text     4 D + 2 K, their sum 3 D
        q, k, v and their norms     4 D + 4 K       output                          2 D
        feed-forward                2 D + 6 F
    """
    kv_width = CONFIG.num_kv_heads * CONFIG.head_dim
    token = 25 * CONFIG.dim + 6 * kv_width + 6 * CONFIG.ffn_width
    text = 2 * TEXT_TOKENS * kv_width
    blocks = CONFIG.n_layers * (num_tokens(latent, scale) * token + text)
    return weight_bytes(CONFIG, BF16) + branches * blocks * BF16.itemsize


def step_seconds(latent: Size, scale: Scale, *, branches: int, gpu: Gpu = REACHED) -> tuple[float, float]:
    """Return the seconds that one step takes at least, by its FLOPs and by its bytes."""
    flops = branches * pass_flops(CONFIG, latent, scale=scale)
    return flops / gpu.flops, step_bytes(latent, scale, branches=branches) / gpu.bytes_per_s


def run_seconds(settings: LuminaVideoSettings, *, gpu: Gpu = REACHED) -> float:
    """Return the seconds that all steps of a clip take at least."""
    moments = settings.preset.moments(BF16)
    return sum(
        max(step_seconds(settings.latent_shape, Scale.parse(now.scale), branches=1 + len(now.guided_by), gpu=gpu))
        for now in moments
    )


def scales_table(settings: LuminaVideoSettings) -> str:
    """Return a guided step at every scale of the network."""
    lines = [
        "| scale | tokens | TFLOP of a pass | of it attention | a text anew | guided step: by FLOPs | by bytes |",
        "|---|---|---|---|---|---|---|",
    ]
    for scale in CONFIG.scales:
        latent = settings.latent_shape
        tokens, flops = num_tokens(latent, scale), pass_flops(CONFIG, latent, scale=scale)
        attention = 4 * CONFIG.n_layers * tokens * (tokens + TEXT_TOKENS) * CONFIG.dim / flops
        text = text_flops(CONFIG) / (flops + text_flops(CONFIG))
        seconds = step_seconds(latent, scale, branches=2)
        lines.append(
            f"| {scale} | {tokens:,} | {flops / 1e12:.0f} | {attention:.0%} | {text:.1%} | "
            f"{seconds[0] * 1e3:.0f} ms | {seconds[1] * 1e3:.0f} ms |"
        )
    return "\n".join(lines)


def runs_table() -> str:
    """Return a run of every released preset."""
    lines = [
        "| preset, its clip | steps at each scale | passes | PFLOP | of it single-scale | H200 at best | GB beside "
        "3.5 of weights |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in PRESETS:
        settings = resolve_settings({}, {**MADE_FOR[name], "preset": name})
        preset, latent = settings.preset, settings.latent_shape
        single = FlowPreset.named(name.removesuffix("-MultiScale"))
        flops, whole = (run_flops(CONFIG, latent, preset=one) for one in (preset, single))
        counts = preset.passes(BF16)
        steps = ", ".join(f"{count.steps} at {scale}" for scale, count in counts.items())
        passes = sum(count.passes for count in counts.values())
        memory = activation_bytes(CONFIG, latent, preset=preset, dtype=BF16) / 1e9
        clip = f"{settings.width}x{settings.height}, {settings.num_frames} frames"
        lines.append(
            f"| {name}, {clip} | {steps} | {passes} | {flops / 1e15:.1f} | {flops / whole:.0%} | "
            f"{run_seconds(settings):.0f} s | {memory:.1f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; return the exit status (`xllmx.run.exit_status`)."""

    def command() -> int:
        OptionParser(prog="python -m benchmarks.lumina_video.arithmetic", description=__doc__).parse_args(arguments)
        for clip in ("f24F96R960", "f16F64R512"):
            print(f"{clip}:\n\n{scales_table(resolve_settings({}, {**MADE_FOR[clip], 'preset': clip}))}\n")
        print(runs_table())
        return 0

    return status_of("benchmarks.lumina_video.arithmetic", command, words=arguments)


if __name__ == "__main__":
    sys.exit(main())
