"""`python -m benchmarks.lumos1.together`: clips of several requests, one after another and together.

The requests differ in text, seed, guidance and steps. Side by side: calls of the pipeline, one after another; the same
requests through the scheduler, one on its way at a time; and all of them on their way together. Whether the images are
the same is counted.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
import torch

from benchmarks.measure import compare, matmul_rate
from benchmarks.report import output_file, write_report
from lumos.conventions.job import Failed, Part
from lumos.hub.models import DEFAULT_MODEL
from lumos.lumos1.generation.many import clip_job
from lumos.lumos1.model.linear import linear
from lumos.lumos1.pipeline import LumosPipeline
from lumos.lumos1.sampling.scheduler import Scheduler
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.settings.number_range import COUNT, check_number

PROMPTS = (
    "a red circle moves to the right on a white background",
    "a blue square",
    "two green stars move down on a black background, one behind the other",
    "a yellow ring moves up",
)
ALONE, ONE_BY_ONE, TOGETHER = "calls, one after another", "scheduler, one at a time", "scheduler, all together"


def requests_of(num: int, *, num_frames: int, steps: int) -> list[dict[str, Any]]:
    """So many requests, each other than the last in text, seed, guidance and steps; `steps` on average."""
    return [
        {
            "prompt": PROMPTS[index % len(PROMPTS)],
            "seed": index,
            "num_frames": num_frames,
            "guidance_scale": (2.0, 3.0, 1.5)[index % 3],
            "num_inference_steps": max(1, steps + (-1, 1)[index % 2] * (steps // 8)),
        }
        for index in range(num)
    ]


def one_after_another(pipeline: LumosPipeline, requests: Sequence[dict[str, Any]]) -> list[np.ndarray]:
    """The frames of every request, [F, H, W, 3], by a call each."""
    return [np.stack([np.asarray(image) for image in pipeline(**one).frames[0]]) for one in requests]


def through_scheduler(
    pipeline: LumosPipeline, requests: Sequence[dict[str, Any]], *, max_in_flight: int
) -> list[np.ndarray]:
    """The frames of every request through the scheduler; what fails is raised."""
    scheduler = Scheduler(max_in_flight=max_in_flight)
    made: dict[Any, list[np.ndarray]] = {scheduler.submit(clip_job(pipeline, **one)): [] for one in requests}
    for event in scheduler.run():
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Part):
            made[event.ticket] += [np.asarray(image) for image in event.value]
    return [np.stack(frames) for frames in made.values()]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return status_of("benchmarks.lumos1.together", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(args: argparse.Namespace) -> int:
    """Measure, print and write."""
    for name in ("rounds", "requests", "steps", "num_frames"):
        check_number(name, Annotated[int, COUNT], getattr(args, name))
    pipeline = LumosPipeline.from_pretrained(args.model, args.device, args.dtype)
    requests = requests_of(args.requests, num_frames=args.num_frames, steps=args.steps)
    made: dict[str, list[np.ndarray]] = {}

    def kept(name: str, make: Callable[[], list[np.ndarray]]) -> Callable[[], object]:
        return lambda: made.update({name: make()})

    paths = {
        ALONE: kept(ALONE, lambda: one_after_another(pipeline, requests)),
        ONE_BY_ONE: kept(ONE_BY_ONE, lambda: through_scheduler(pipeline, requests, max_in_flight=1)),
        TOGETHER: kept(TOGETHER, lambda: through_scheduler(pipeline, requests, max_in_flight=len(requests))),
    }
    clock = time.process_time if args.cpu_time else time.perf_counter
    comparison = compare(paths, rounds=args.rounds, device=pipeline.device, clock=clock)
    same = sum(np.array_equal(*pair) for pair in zip(made[ALONE], made[TOGETHER], strict=True))
    taken = {name: timing.median_s for name, timing in comparison.timings.items()}
    frames = sum(map(len, made[ALONE]))
    notes = {
        "model": args.model,
        "dtype": str(pipeline.dtype),
        "requests": len(requests),
        "latent frames of each": 1 + -(-(args.num_frames - 1) // 4),
        "frames a second, one after another": round(frames / taken[ALONE], 2),
        "frames a second, together": round(frames / taken[TOGETHER], 2),
        "clips of which every frame is the same": f"{same} of {len(requests)}",
    }
    with torch.inference_mode():
        rates = {str(pipeline.dtype): matmul_rate(pipeline.dtype, device=pipeline.device, product=linear)}
    title = f"{len(requests)} requests of {args.model} on {pipeline.device.type}"
    comparisons = {"requests": comparison}
    write_report(args.out, title=title, comparisons=comparisons, rates=rates, device=pipeline.device, notes=notes)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="python -m benchmarks.lumos1.together", description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"name or folder (default: {DEFAULT_MODEL})")
    parser.add_argument("--device", help="cpu, cuda (default: a GPU if there is one)")
    parser.add_argument("--dtype", help="float32 or bfloat16 (default: the first on a CPU, the other on a GPU)")
    parser.add_argument("--requests", type=int, default=8)
    parser.add_argument("--num-frames", type=int, default=13)
    parser.add_argument("--steps", type=int, default=32, help="refinements of a latent frame, on average")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu-time", action="store_true", help="count this process's work only, for a shared core")
    parser.add_argument("--out", type=output_file, help="json file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
