"""`python -m benchmarks.lumina_video.memory`: what sampling with Lumina-Video holds beside the network.

`states`: a run over latents of 672x384 and 64 frames through a network of next to no size at the coarsest scale, so
that its memory is that of the states: all of both branches, as the literal path keeps them, and ours. `encoders`: a
pipeline made and one clip of it, text encoder and VAE kept or given up after their work. Its parts are to each other
about as the released ones (2.5 : 1.8 : 0.2 G parameters), at a tenth of the size.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from diffusers.models import AutoencoderKLCogVideoX
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import Gemma2Config, Gemma2Model

from benchmarks.lumina_video.flow import SINGLE, WORKS, Bench, FlowWork, Paths, guided, random_network
from benchmarks.measure import compare
from benchmarks.report import write_report
from lumos.lumina_video.checkpoint.weights import save_dit
from lumos.lumina_video.pipeline import LuminaVideoPipeline
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser

_PARTS = ("states", "encoders")
CLIP = {"width": 64, "height": 64, "num_frames": 8, "fps": 8}
TENTH = FlowWork(
    width=768, num_layers=20, num_heads=8, num_kv_heads=4, text_width=768, latent=(2, 8, 8), text_tokens=(20, 8)
)
"""The network: 0.19 G parameters."""
TINY = FlowWork(width=96, num_layers=1, num_heads=6, num_kv_heads=2, text_width=96, latent=(2, 8, 8))
"""Beside it, for trying the bench out."""


def states_paths(steps: int, latent: tuple[int, int, int]) -> Paths:
    """Return runs of so many steps that keep all states of both branches, and those of now."""
    work = FlowWork(width=32, num_layers=1, num_heads=2, num_kv_heads=1, text_width=8, latent=latent)
    bench = Bench(work, dtype=torch.float32, device=torch.device("cpu"))
    preset = guided("2x4").override(num_points=steps + 1)
    return {"all states of both branches": partial(bench.literal_run, preset), "ours": partial(bench.run, preset)}


def encoders_paths(folder: Path) -> Paths:
    """Return a pipeline of the folder made and one clip of it, by which parts stay in memory."""

    def clip(*, keep: bool) -> None:
        pipeline = LuminaVideoPipeline.from_pretrained(folder, device="cpu", keep_encoders=keep)
        pipeline("a red circle moves to the right", seed=1, num_inference_steps=2)

    return {"encoders kept": partial(clip, keep=True), "encoders given up": partial(clip, keep=False)}


def write_model(folder: Path, work: FlowWork) -> dict[str, float]:
    """Writes a model of random weights; returns the bytes of its parts in fp32, in MiB."""
    is_tiny = work is TINY
    network = random_network(work.config, dtype=torch.float32, device=torch.device("cpu"))
    save_dit(network, folder)
    encoder = Gemma2Model(
        Gemma2Config(
            vocab_size=1000 if is_tiny else 64_000,
            hidden_size=work.text_width,
            intermediate_size=64 if is_tiny else 2304,
            num_hidden_layers=2 if is_tiny else 26,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16 if is_tiny else 192,
        )
    )
    encoder.save_pretrained(folder / "text_encoder")
    words = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(folder / "text_encoder" / "tokenizer.json"))
    channels = (4, 6, 8, 10) if is_tiny else (40, 80, 80, 160)
    vae = AutoencoderKLCogVideoX(block_out_channels=channels, norm_num_groups=2, latent_channels=16)
    vae.save_pretrained(folder / "vae")
    (folder / "generation_config.json").write_text(json.dumps({**CLIP, "preset": SINGLE.to_dict()}))
    parts = {"network": network, "text encoder": encoder, "VAE": vae}
    return {name: round(4 * sum(p.numel() for p in part.parameters()) / 2**20) for name, part in parts.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return status_of("benchmarks.lumina_video.memory", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(args: argparse.Namespace) -> int:
    """Measures, prints and writes."""
    comparisons, notes = {}, {}
    if "states" in args.parts:
        latent = (2, 8, 8) if args.tiny else WORKS["released-512"].latent
        title = f"states of {args.steps} steps, 16 x {' x '.join(map(str, latent))}"
        comparisons[title] = compare(states_paths(args.steps, latent), rounds=1)
    if "encoders" in args.parts:
        with TemporaryDirectory() as folder:
            notes["MiB of the parts"] = write_model(Path(folder), TINY if args.tiny else TENTH)
            comparisons["a pipeline and one clip"] = compare(encoders_paths(Path(folder)), rounds=args.rounds)
    write_report(args.out, title="Lumina-Video, memory", comparisons=comparisons, rates={}, notes=notes)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="python -m benchmarks.lumina_video.memory", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS)
    parser.add_argument("--tiny", action="store_true", help="try the bench out in seconds")
    parser.add_argument("--steps", type=int, default=69, help="Euler steps of the run whose states are kept")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, help="json file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
