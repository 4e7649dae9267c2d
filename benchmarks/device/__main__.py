"""`python -m benchmarks.device`: what a GPU is for, part by part, each in a process of its own.

A part that crashes, hangs or runs out of memory ends by itself: the others run on, and the whole has failed. After each
part all that was found so far is written, as json and as a table. ../FIRST_RUN.md says what to make of it.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.device.outcome import Outcome, facts_of, python, run_part, table
from benchmarks.device.parts import PARTS
from benchmarks.device.place import Place
from benchmarks.device.sizes import FULL, SMALL
from benchmarks.gpus import gpu_named
from benchmarks.report import machine_facts, output_file
from lumos.cli.options.spelling import said_as_options
from lumos.media.inputs import choose_device
from xllmx.disk.files import write_text
from xllmx.run.exit_status import CHECK_FAILED, status_of
from xllmx.run.option_parser import OptionParser
from xllmx.settings.setting import SettingError

_OUT, _OUT_SMALL = Path("benchmarks/results/device.json"), Path("outputs/device_small.json")
_PATIENCE_ON_CPU = 10
"""Times the limits of a GPU: a CPU may be busy with other things, and nothing is promised of it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`): 1 where a part failed."""
    return status_of("benchmarks.device", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(args: argparse.Namespace) -> int:
    with said_as_options(vars(args)):
        device = choose_device(args.device)
    if device.type != "cuda" and not args.small:
        fault = f"is {device}, and the networks of a GPU would take it hours; --small tries out all parts on small ones"
        raise SettingError("device", fault)
    if args.part is not None:
        return _one(args, device)
    return _all(device, small=args.small, out=args.out or (_OUT_SMALL if args.small else _OUT))


def _all(device: torch.device, *, small: bool, out: Path) -> int:
    """Run every part, print each as it ends, and write all that was found so far."""
    start, outcomes = time.monotonic(), list[Outcome]()
    for name, part in PARTS.items():
        size = ["--small"] if small else []
        words = python("-m", "benchmarks.device", "--part", name, "--device", str(device), *size, "--out")
        patience = 1 if device.type == "cuda" else _PATIENCE_ON_CPU
        outcomes.append(run_part(name, part.title, words, limit_s=patience * part.limit_s))
        print(outcomes[-1].text(), flush=True)
        parts = {one.name: one.to_dict() for one in outcomes}
        write_text(out, json.dumps({"machine": facts_of(outcomes), "small": small, "parts": parts}, indent=1) + "\n")
        write_text(out.with_suffix(".md"), table(outcomes))
    failed = [one.name for one in outcomes if not one.passed]
    print(f"--- {out} and {out.with_suffix('.md')}, in {time.monotonic() - start:.0f} s")
    print(f"FAILED: {', '.join(failed)}" if failed else "all parts passed")
    return CHECK_FAILED if failed else 0


def _one(args: argparse.Namespace, device: torch.device) -> int:
    """Run one part in this process."""
    gpu = gpu_named(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    place = Place(device=device, sizes=SMALL if args.small else FULL, gpu=None if args.small else gpu)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    findings = PARTS[args.part].run(place)
    findings.facts = machine_facts(device)
    print("\n".join(findings.lines()))
    if args.out is not None:
        write_text(args.out, json.dumps(findings.to_dict()))
    return 0 if findings.passed else CHECK_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="python -m benchmarks.device", description=__doc__)
    parser.add_argument("--small", action="store_true", help="small networks: tries out all parts, on a CPU too")
    parser.add_argument("--device", help="default: the first GPU, or the CPU")
    parser.add_argument("--part", choices=PARTS, help="this part alone, in this process and without a limit")
    out = f"json file, a table of the same name beside it (default: {_OUT}; --small: {_OUT_SMALL}; --part: none)"
    parser.add_argument("--out", type=output_file, help=out)
    return parser


if __name__ == "__main__":
    sys.exit(main())
