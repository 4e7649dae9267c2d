"""`python -m benchmarks.lumos1.streaming`: a clip as a stream and as a whole, side by side.

Time to the first frame, to the last, and frames a second, of the pipeline; then of the decoding alone: at once, with
its state carried, and for a pair that cannot carry it all latent frames before again, and a window of them, which gives
other pixels: how many, and by how much.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from benchmarks.measure import compare
from benchmarks.report import output_file, write_report
from lumos.hub.models import DEFAULT_MODEL
from lumos.lumos1.pipeline import LumosPipeline
from lumos.media.decoded import pixel_psnr
from lumos.media.frames import to_frames
from lumos.tokenizer.streaming import CarriedDecoding, DecodingStream, RepeatedDecoding
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.settings.number_range import COUNT, check_number

PROMPT = "a red circle moves to the right on a white background"


def decodings(pipeline: LumosPipeline, codes: Tensor, window: int) -> dict[str, Callable[[], Tensor]]:
    """The ways to decode a clip [1, T, H, W], by name; each returns its pixels."""
    visual = pipeline.visual

    def with_each(begin: Callable[[], DecodingStream]) -> Callable[[], Tensor]:
        def decode() -> Tensor:
            stream = begin()
            return torch.cat([stream(part) for part in codes.split(1, dim=1)], dim=2)

        return decode

    program, source = visual._decoder, visual._source
    ways: dict[str, Callable[[], Tensor]] = {"at once": lambda: visual.decode(codes)}
    if visual.carries_state:
        ways["state carried"] = with_each(lambda: CarriedDecoding(program, source))
    ways["all before again"] = with_each(lambda: RepeatedDecoding(program, source, history=None))
    ways[f"{window} before again"] = with_each(lambda: RepeatedDecoding(program, source, history=window))
    return ways


def differences(ways: dict[str, Callable[[], Tensor]]) -> dict[str, str]:
    """How the pixels of each way differ from those of the first, in words."""
    whole, *others = (to_frames(decode()[0]) for decode in ways.values())
    said = {}
    for name, pixels in zip(list(ways)[1:], others, strict=True):
        apart = np.abs(pixels.astype(int) - whole)
        share = float((apart > 0).mean())
        psnr = f", {pixel_psnr(whole, pixels):.1f} dB" if share else ""
        said[f"pixels of '{name}' that differ"] = f"{share:.2%}, by {int(apart.max())} of 255 at most{psnr}"
    return said


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return status_of("benchmarks.lumos1.streaming", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(args: argparse.Namespace) -> int:
    """Measure, print and write."""
    for name in ("rounds", "window"):
        check_number(name, Annotated[int, COUNT], getattr(args, name))
    pipeline = LumosPipeline.from_pretrained(args.model, args.device)
    settings = {"num_frames": args.num_frames}
    clip = pipeline(PROMPT, seed=0, **settings)
    codes = clip.codes[0][None].to(pipeline.device)
    paths: dict[str, Callable[[], object]] = {
        "whole clip": lambda: pipeline(PROMPT, seed=0, **settings),
        "first frame of a stream": lambda: next(pipeline.stream(PROMPT, seed=0, **settings)),
        "first five frames of a stream": lambda: list(islice(pipeline.stream(PROMPT, seed=0, **settings), 5)),
        "whole stream": lambda: list(pipeline.stream(PROMPT, seed=0, **settings)),
    }
    ways = decodings(pipeline, codes, args.window)
    clock = time.process_time if args.cpu_time else time.perf_counter
    measure = partial(compare, rounds=args.rounds, device=pipeline.device, clock=clock)
    comparisons = {"clip": measure(paths), "decoding": measure(ways)}
    times = comparisons["clip"].timings
    number, streamed = len(clip.frames[0]), times["whole stream"].median_s
    notes = {
        "model": args.model,
        "frames": number,
        "latent frames": codes.shape[1],
        "frames a second of the stream": round(number / streamed, 2),
        "first frame, share of the whole clip's time": round(
            times["first frame of a stream"].median_s / times["whole clip"].median_s, 3
        ),
        **differences(ways),
    }
    title = f"Streaming of {args.model} on {pipeline.device.type}"
    write_report(args.out, title=title, comparisons=comparisons, rates={}, device=pipeline.device, notes=notes)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="python -m benchmarks.lumos1.streaming", description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"name or folder (default: {DEFAULT_MODEL})")
    parser.add_argument("--device", help="cpu, cuda (default: a GPU if there is one)")
    parser.add_argument("--num-frames", type=int, default=13)
    parser.add_argument("--window", type=int, default=2, help="latent frames that are decoded again")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu-time", action="store_true", help="count this process's work only, for a shared core")
    parser.add_argument("--out", type=output_file, help="json file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
