"""`python -m benchmarks.lumina_video.flow --work small`: a guided step, the literal way and ours, side by side.

Parts: `step`, one guided step at each scale; `text`, what is made of both texts, which is a part of every literal step
and of none of ours but the first; `run`, whole runs, single-scale and multi-scale, the literal single-scale one first.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from benchmarks.lumina_video.literal import Text, literal_latents, literal_step
from benchmarks.measure import Comparison, compare, matmul_rate
from benchmarks.report import output_file, write_report
from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.cost import num_tokens, pass_flops, run_flops, text_flops
from lumos.lumina_video.dit import MultiScaleNextDiT
from lumos.lumina_video.flow import noise_for, sample_latents
from lumos.lumina_video.network.patches import Size
from lumos.lumina_video.preset import FlowPreset
from lumos.lumina_video.sampling.guided_field import GuidedField
from lumos.lumina_video.scale import Scale
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser

Paths = dict[str, Callable[[], object]]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SINGLE, MULTI = FlowPreset.named("f16F64R512"), FlowPreset.named("f16F64R512-MultiScale")
TIME = 0.1
"""Of the step that is timed: the presets guide there, and nothing else depends on it."""
_PARTS = ("step", "text", "run")


@dataclass(frozen=True, kw_only=True)
class FlowWork:
    """A network's size and the clip it works on, 16 channels as released."""

    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    text_width: int
    """E, features of a text token."""
    latent: Size
    """T, H, W."""
    text_tokens: tuple[int, int] = (256, 48)
    """Of the prompt and of the negative one: the longest there is, and about that of an empty one as released."""

    @property
    def config(self) -> LuminaVideoConfig:
        """Settings of the network; what is not named here is as released."""
        return LuminaVideoConfig(
            all_patch_size=(2, 2, 4),
            all_f_patch_size=(1, 2, 2),
            in_channels=16,
            dim=self.width,
            n_layers=self.num_layers,
            n_heads=self.num_heads,
            n_kv_heads=self.num_kv_heads,
            multiple_of=64,
            qk_norm=True,
            cap_feat_dim=self.text_width,
            rope_theta=256.0,
            t_scale=1000.0,
            motion_scale=20.0,
        )


_RELEASED = FlowWork(width=2304, num_layers=24, num_heads=16, num_kv_heads=8, text_width=2304, latent=(16, 48, 84))
_SMALL = FlowWork(width=512, num_layers=8, num_heads=8, num_kv_heads=4, text_width=512, latent=(4, 8, 8))
WORKS = {
    "tiny": FlowWork(width=96, num_layers=2, num_heads=6, num_kv_heads=2, text_width=24, latent=(2, 8, 12)),
    "small": _SMALL,
    "mid": replace(_SMALL, latent=(4, 16, 28)),
    "released-512": _RELEASED,
    "released-960": replace(_RELEASED, latent=(24, 88, 156)),
}
"""By name: `tiny` tries the bench out; `small` is a clip of 64x64 and 16 frames, `mid` of 224x128 and 16 frames; the
released network, at the clips of both its presets, is for a GPU."""


def random_network(config: LuminaVideoConfig, *, dtype: torch.dtype, device: torch.device) -> MultiScaleNextDiT:
    """Return a network whose weights are random and none of them 0, the same for every dtype but for its rounding."""
    with torch.device(device):
        model = MultiScaleNextDiT(config).eval()
    generator = torch.Generator(device).manual_seed(0)
    model.init_weights(generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator, device=device))
    return model.to(dtype=dtype)


def texts_of(work: FlowWork, *, dtype: torch.dtype, device: torch.device) -> tuple[Text, Text]:
    """Return the texts of both branches, padded as one batch is."""
    longest = max(work.text_tokens)
    features = torch.randn(2, longest, work.text_width, generator=torch.Generator().manual_seed(1))
    masks = torch.arange(longest) < torch.tensor(work.text_tokens)[:, None]
    prompt, negative = zip(features.to(device, dtype), masks.to(device), strict=True)
    return prompt, negative


class Bench:
    """A network, its texts and its noise, in one dtype; every path works on the same."""

    def __init__(self, work: FlowWork, *, dtype: torch.dtype, device: torch.device) -> None:
        self.model = random_network(work.config, dtype=dtype, device=device)
        self.texts = texts_of(work, dtype=dtype, device=device)
        self.noise = noise_for(0, (work.config.in_channels, *work.latent), device=device)
        self.stacked = tuple((features[None], mask[None]) for features, mask in self.texts)

    @torch.inference_mode()
    def literal_step(self, preset: FlowPreset) -> Tensor:
        """Return the guided velocity, the literal way."""
        return literal_step(self.model, self.noise, torch.tensor(TIME), preset, *self.texts)

    def step(self, preset: FlowPreset) -> Callable[[], Tensor]:
        """Return our path to the same as a call; what a run makes once is made here."""
        prompt, negative = self.stacked
        with torch.inference_mode():
            field = GuidedField(self.model, preset, prompts=prompt, negatives=[negative], noise=self.noise[None])
            field(self.noise[None], torch.tensor(TIME))

        @torch.inference_mode()
        def step() -> Tensor:
            return field(self.noise[None], torch.tensor(TIME))[0]

        return step

    @torch.inference_mode()
    def text(self) -> object:
        """Return what the network makes of both texts."""
        (prompt, mask), (negative, negative_mask) = self.stacked
        return self.model.encode_text(torch.cat([prompt, negative]), torch.cat([mask, negative_mask]))

    @torch.inference_mode()
    def literal_run(self, preset: FlowPreset) -> Tensor:
        """Return the latents, the literal way; the states of both branches are held until it ends."""
        prompt, negative = self.texts
        states = literal_latents(self.model, self.noise, preset=preset, text=prompt, negative=negative)
        return states[0][-1]

    @torch.inference_mode()
    def run(self, preset: FlowPreset) -> Tensor:
        """Return the latents, our way."""
        (prompt, mask), (negative, negative_mask) = self.stacked
        latents = sample_latents(
            self.model,
            self.noise[None],
            preset=preset,
            text=prompt,
            text_mask=mask,
            negative_text=negative,
            negative_mask=negative_mask,
        )
        return latents[0]


def guided(scale: Scale | str) -> FlowPreset:
    """Return a preset of guided steps at one scale."""
    return FlowPreset.from_dict({**SINGLE.to_dict(), "P": str(scale), "cfg": 12, "negMotion": 2.0})


def step_paths(works: Mapping[str, Bench], preset: FlowPreset, *, literal: tuple[str, ...]) -> Paths:
    """Return a guided step by dtype, the literal ones first."""
    slow: Paths = {f"literal {name}": partial(works[name].literal_step, preset) for name in literal}
    return slow | {f"ours {name}": bench.step(preset) for name, bench in works.items()}


def run_paths(bench: Bench, steps: int, *, literal: bool = True) -> Paths:
    """Return whole runs of so many steps; the single-scale one is literal and ours."""
    single, multi = (preset.override(num_points=steps + 1) for preset in (SINGLE, MULTI))
    slow: Paths = {"literal single-scale": partial(bench.literal_run, single)} if literal else {}
    return slow | {"ours single-scale": partial(bench.run, single), "ours multi-scale": partial(bench.run, multi)}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return status_of("benchmarks.lumina_video.flow", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(args: argparse.Namespace) -> int:
    """Measures, prints and writes."""
    work, device = WORKS[args.work], torch.device(args.device)
    benches = {name: Bench(work, dtype=DTYPES[name], device=device) for name in args.dtypes}
    measure = partial(compare, device=device, clock=time.process_time if args.cpu_time else time.perf_counter)
    comparisons: dict[str, Comparison] = {}
    for scale in work.config.scales if "step" in args.parts else ():
        paths = step_paths(benches, guided(scale), literal=tuple(args.literal))
        flops = {name: step_flops(work, scale, literal=name.startswith("literal")) for name in paths}
        title = f"guided step at {scale}, {num_tokens(work.latent, scale)} tokens"
        comparisons[title] = measure(paths, rounds=args.rounds, flops=flops)
    if "text" in args.parts:
        texts = {f"texts {name}": bench.text for name, bench in benches.items()}
        comparisons["both texts"] = measure(texts, rounds=args.rounds)
    if "run" in args.parts:
        paths = run_paths(benches[args.dtypes[0]], args.steps, literal=bool(args.literal))
        comparisons[f"run of {args.steps} steps"] = measure(paths, rounds=args.run_rounds)
    notes = {
        "work": args.work,
        "latent": work.latent,
        "text tokens": work.text_tokens,
        "share of the texts in the FLOPs of a literal step": {str(s): text_share(work, s) for s in work.config.scales},
        "FLOPs of the multi-scale run as a share of the single-scale one": multi_share(work, args.steps),
    }
    rates = {} if args.cpu_time else {name: matmul_rate(DTYPES[name], device=device) for name in args.dtypes}
    title = f"Lumina-Video, guided steps, {args.work} on {args.device}"
    write_report(args.out, title=title, comparisons=comparisons, rates=rates, device=device, notes=notes)
    return 0


def step_flops(work: FlowWork, scale: Scale, *, literal: bool) -> int:
    """Return the FLOPs of a guided step: two passes, and the texts if they are made anew.

    Both branches' texts are padded to the longer one; ours leaves the padding out of what a run makes once.
    """
    longest = max(work.text_tokens)
    passes = 2 * pass_flops(work.config, work.latent, scale=scale, text_tokens=longest)
    return passes + literal * 2 * text_flops(work.config, text_tokens=longest)


def text_share(work: FlowWork, scale: Scale) -> float:
    """Return the share of a literal guided step's FLOPs that goes into keys, values and mean of the texts."""
    without, whole = (step_flops(work, scale, literal=literal) for literal in (False, True))
    return round(1 - without / whole, 4)


def multi_share(work: FlowWork, steps: int) -> float:
    """Return the FLOPs of a multi-scale run as a share of those of its single-scale twin."""
    presets = (preset.override(num_points=steps + 1) for preset in (MULTI, SINGLE))
    multi, single = (run_flops(work.config, work.latent, preset=preset) for preset in presets)
    return round(multi / single, 3)


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="python -m benchmarks.lumina_video.flow", description=__doc__)
    parser.add_argument("--work", choices=WORKS, default="tiny", help="size of network and clip")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=["fp32", "bf16"])
    parser.add_argument("--literal", nargs="*", choices=DTYPES, default=["fp32"], help="dtypes of the literal path")
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--run_rounds", type=int, default=3, help="rounds of whole runs")
    parser.add_argument("--steps", type=int, default=69, help="Euler steps of a whole run")
    parser.add_argument("--cpu_time", action="store_true", help="this process's time only, on a core others use too")
    parser.add_argument("--out", type=output_file, help="json file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
