"""The command line that all benchmark drivers share.

torchrun --nproc-per-node 8 -m eval.geneval --model 1B/stage-2-joint num_inference_steps=50
python -m eval.geneval --part "[2,4]"        the second of four parts, e.g. on the second of four machines
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.custom.__main__ import setting
from eval.driver.samples import Worker, parse_part, worker_of
from lumos.cli.exit_status import STOPPED, USER_ERROR, terminating
from lumos.cli.interrupt import loading
from lumos.cli.option import said_as_options
from lumos.hub.models import DEFAULT_MODEL, resolve

if TYPE_CHECKING:  # torch and all: only where samples are made, so that --help answers at once
    from eval.driver.plan import Plan, Work

_FIRST_SPEAKS_S = 10
"""Seconds in which the first process of a machine says what is wrong before another one does."""


@dataclass(frozen=True, kw_only=True)
class Driver:
    """One benchmark on the command line."""

    name: str
    """As in `python -m eval.NAME`."""
    description: str
    """What --help begins with."""
    num_samples: int
    """Of a prompt, by the benchmark's own rule."""
    batch_size: int
    """Samples that go through the model together if nothing is said."""
    work: Callable[[argparse.Namespace, Mapping[str, Any]], "Work"]
    """The work that options ask for, given the model's defaults."""
    add_options: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    """Adds what this benchmark alone has."""


def drive(driver: Driver, arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 2 after one line that says what to mend, 130 after Ctrl-C."""
    program = f"eval.{driver.name}"
    try:
        with terminating():
            try:
                options = _parse(driver, arguments)
                with said_as_options(vars(options)):
                    return _drive(driver, options)
            except (ValueError, OSError) as error:
                if int(os.environ.get("LOCAL_RANK", "0")):  # the first one has the same to say, and ends us
                    time.sleep(_FIRST_SPEAKS_S)
                print(f"{program}: error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
                return USER_ERROR
    except KeyboardInterrupt:
        print(f"{program}: stopped; run the same command again to go on", file=sys.stderr)
        return STOPPED


def _drive(driver: Driver, options: argparse.Namespace) -> int:
    with loading(f"eval.{driver.name}"):
        import torch

        from eval.driver.folders import records_folder
        from eval.driver.plan import plan
        from eval.driver.run import check_folder, run
        from lumos.lumos1.pipeline import LumosPipeline
        from lumos.media.inputs import choose_device, choose_dtype

    worker = worker_of(parse_part(options.part), os.environ)
    device = choose_device(options.device or _own_device(worker))
    dtype = str(choose_dtype(options.dtype, device)).removeprefix("torch.")
    files = resolve(options.model, options.ckpts)
    work = driver.work(options, files.defaults)
    planned = plan(work, files, seed=options.seed, dtype=dtype, records=records_folder(options.out))
    if worker.local_rank == 0:
        _say(driver, planned, options)
    check_folder(planned, options.out)
    if options.dry_run:
        return 0
    if device.type == "cpu":  # sums in one order, however many workers share the machine
        torch.set_num_threads(1)
    done = run(
        planned,
        lambda: LumosPipeline.from_pretrained(options.model, device, dtype, ckpts=options.ckpts),
        worker,
        batch_size=options.batch_size,
        overwrite=options.overwrite,
    )
    damaged = f" ({done.damaged} were damaged)" if done.damaged else ""
    rest = f"; {done.unfinished} of other workers or parts are not there yet" if done.unfinished else ""
    print(f"worker {worker.index + 1}/{worker.count}: {done.made} made{damaged}, {done.before} finished before{rest}")
    return 0


def _say(driver: Driver, planned: "Plan", options: argparse.Namespace) -> None:
    """Prints what is going to be made."""
    settings, samples = planned.settings, planned.work.samples
    for remark in planned.work.remarks:
        print(f"eval.{driver.name}: note: {remark}", file=sys.stderr)
    frames = f", {settings.num_output_frames} frames" if settings.num_output_frames > 1 else ""
    sampling = f"{settings.sampler.num_steps} steps, guidance {settings.sampler.guidance_scale:g}"
    prompts = len({sample.prompt for sample in samples})
    size = f"{settings.width}x{settings.height}"
    print(f"{options.out}: {len(samples)} samples of {prompts} prompts, {size}{frames}, {sampling}", flush=True)


def _own_device(worker: Worker) -> str | None:
    """The GPU of this process where there are any."""
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return f"cuda:{worker.local_rank % gpus}" if gpus else None


def _parse(driver: Driver, arguments: Sequence[str] | None) -> argparse.Namespace:
    options = parser_of(driver).parse_intermixed_args(arguments)
    for name in ("first", "samples", "batch_size"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} is {value}; it must be at least 1")
    parse_part(options.part)
    options.settings = dict(map(setting, options.settings))
    return options


def parser_of(driver: Driver) -> argparse.ArgumentParser:
    """The parser of a benchmark's options; settings may stand anywhere among them."""
    parser = argparse.ArgumentParser(
        prog=f"eval.{driver.name}", description=driver.description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    samples, batch_size = driver.num_samples, driver.batch_size
    parser.add_argument("settings", nargs="*", metavar="name=value", help="of the pipeline: num_inference_steps=20")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name, hub id or folder")
    parser.add_argument("--out", type=Path, default=Path("outputs") / driver.name, help="folder for the scorer")
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="official list (default: in eval/prompts)")
    parser.add_argument("--long", type=Path, metavar="FILE", help="rewritten prompts (default: in eval/prompts)")
    parser.add_argument("--short", action="store_true", help="the model sees the official prompts themselves")
    parser.add_argument("--first", type=int, metavar="N", help="the first N prompts alone, for a trial")
    parser.add_argument("--samples", type=int, help=f"of every prompt, for a trial (default: {samples}, as scored)")
    parser.add_argument("--seed", type=int, default=0, help="base seed; a sample's own follows from it")
    parser.add_argument("--batch-size", type=int, default=batch_size, help=f"samples at a time (default: {batch_size})")
    parser.add_argument("--part", default="[1,1]", metavar="[i,n]", help="part i of n, from 1")
    parser.add_argument("--overwrite", action="store_true", help="replace what was made otherwise")
    parser.add_argument("--dry-run", action="store_true", help="say what would be made, or what is wrong")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: each process its GPU, or the CPU)")
    parser.add_argument("--dtype", help="bfloat16 or float32")
    parser.add_argument("--ckpts", type=Path, help="the folder of checkpoints")
    driver.add_options(parser)
    return parser
