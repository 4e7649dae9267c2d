"""One table from the raw outputs of an official scorer: `python -m eval.report geneval|vbench|vbench_i2v RESULTS`.

Writes OUT/BENCHMARK.md, .json and .html: every tag or dimension, the official totals, published numbers beside them,
and with --samples pictures of outputs with their prompts. There is no total while anything is missing: the exit status
is then 1; it is 2 if there is nothing to report on.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.benchmark import Benchmark
from eval.benchmarks import BENCHMARKS
from eval.report.page import page
from eval.report.scores import Scores
from eval.report.table import markdown, table_of
from lumos.media.files import replacing
from xllmx.disk.place import check_file, inputs_of
from xllmx.run.exit_status import CHECK_FAILED, status_of
from xllmx.run.option_parser import OptionParser


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`): 0 with a total, 1 without one."""

    def command() -> int:
        return 0 if report(_parser().parse_args(arguments)).totals else CHECK_FAILED

    return status_of("eval.report", command, words=arguments)


def report(options: argparse.Namespace) -> Scores:
    """The scores, after table and page were written and the table printed."""
    if options.samples is not None and not options.samples.is_dir():
        raise ValueError(f"--samples {options.samples} is no folder: give the one that was scored")
    stem, benchmark = options.out / options.benchmark, BENCHMARKS[options.benchmark]
    inputs = inputs_of({"--results": options.results, "--prompts": options.prompts, "--samples": options.samples})
    for suffix in (".md", ".json", ".html"):
        check_file(stem.with_suffix(suffix), inputs=inputs)
    scores = benchmark.read_scores(options.results, _list_if_there(benchmark, options.prompts))
    table = table_of(scores, benchmark, name=options.name)
    text = markdown(table)
    print(text, end="")
    sheets = []
    if options.samples is not None:
        prompts = benchmark.lists.find(options.prompts)
        sheets = list(benchmark.sheets(options.samples, prompts, scores, num=options.num_samples))
    html = page(benchmark, table, sheets, beside=options.out)
    content = json.dumps(scores.to_dict(), indent=1, ensure_ascii=False) + "\n"
    for suffix, what in ((".md", text), (".json", content), (".html", html)):
        with replacing(stem.with_suffix(suffix)) as temporary:
            temporary.write_text(what, encoding="utf-8")
    print(f"\n{stem}.md, .json and .html written")
    return scores


def _list_if_there(benchmark: Benchmark, given: Path | None) -> Path | None:
    """The official list, or None while it is not brought: counts can be compared without it."""
    try:
        return benchmark.lists.find(given)
    except ValueError:
        return None


def _parser() -> OptionParser:
    parser = OptionParser(
        prog="lumos evaluate report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("benchmark", choices=BENCHMARKS)
    parser.add_argument("results", type=Path, help="GenEval: results.jsonl; VBench: the folder that it wrote to")
    parser.add_argument("--out", type=Path, default=Path("outputs/report"), help="folder to write (outputs/report)")
    parser.add_argument("--samples", type=Path, metavar="FOLDER", help="the folder that was scored, for pictures of it")
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="official prompt file (default: in eval/prompts)")
    parser.add_argument("--name", default="here", help="of the model, over its column")
    parser.add_argument("--num-samples", type=int, default=48, help="prompts on the page, about so many")
    return parser


if __name__ == "__main__":
    sys.exit(main())
