"""Whether a folder of outputs may be scored: `python -m eval.check geneval|vbench|vbench_i2v FOLDER`.

Counts, names, every file decoded, metadata equal to the official. Prints exactly what is missing or wrong.
The exit status is 0 if nothing is, 1 if something is, 2 if the check could not be made.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.benchmarks import BENCHMARKS
from eval.check.findings import Findings
from eval.check.media import Expected
from lumos.media.files import replacing
from xllmx.disk.place import check_file, inputs_of
from xllmx.run.exit_status import CHECK_FAILED, status_of
from xllmx.run.option_parser import OptionParser


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`): 0 for a folder that may be scored, 1 for one that may not."""
    return status_of("eval.check", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(options: argparse.Namespace) -> int:
    if options.json is not None:
        check_file(options.json, inputs=inputs_of({"--prompts": options.prompts}))
    findings = check(
        options.benchmark,
        options.folder,
        prompts=options.prompts,
        expected=Expected(size=options.size, frames=options.frames),
        workers=options.workers,
    )
    if options.json is not None:
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(findings.to_dict(), indent=1, ensure_ascii=False) + "\n", "utf-8")
    for line in findings.lines(options.most):
        print(line)
    return 0 if findings.ok else CHECK_FAILED


def check(
    benchmark: str,
    folder: Path,
    *,
    prompts: Path | None = None,
    expected: Expected | None = None,
    workers: int = 4,
) -> Findings:
    """What is wrong with a benchmark's folder; `prompts` is the official file (default: the one in eval/prompts)."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder: give the one that holds the outputs")
    asked = BENCHMARKS[benchmark]
    return asked.check(folder, asked.lists.find(prompts), expected=expected or Expected(), workers=workers)


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(number) for number in text.split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write WIDTHxHEIGHT, for example 672x384") from None
    return width, height


def _parser() -> OptionParser:
    parser = OptionParser(
        prog="lumos evaluate check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("benchmark", choices=BENCHMARKS)
    parser.add_argument("folder", type=Path, help="what the benchmark's driver wrote")
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="official prompt file (default: in eval/prompts)")
    parser.add_argument("--size", type=_size, metavar="WxH", help="of every output (default: as most of them are)")
    parser.add_argument("--frames", type=int, help="of every video (default: as most of them have)")
    parser.add_argument("--workers", type=int, default=4, help="files decoded at a time")
    parser.add_argument("--most", type=int, default=50, help="problems printed of each sort; 0: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings there as well")
    return parser


if __name__ == "__main__":
    sys.exit(main())
