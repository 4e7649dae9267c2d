"""One table from the raw outputs of an official scorer: `python -m eval.report geneval|vbench|vbench_i2v RESULTS`.

Writes OUT/BENCHMARK.md, .json and .html: every tag or dimension, the official totals, published numbers beside them,
and with --samples pictures of samples with their prompts. There is no total while anything is missing: the exit status
is then 1; it is 2 if there is nothing to report on.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.geneval.report import read_geneval_results
from eval.prompts.official import BENCHMARKS, official_file, read_geneval, read_videos
from eval.report.page import page
from eval.report.scores import Scores
from eval.report.sheets import Sheet, geneval_sheets, video_sheets
from eval.report.table import markdown, table_of
from eval.vbench.report import read_vbench_results
from lumos.cli.commands import CHECK_FAILED, USER_ERROR
from lumos.media.files import replacing


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 with a total, 1 without one, 2 after one line that says what is wrong."""
    options = _parser().parse_args(arguments)
    try:
        scores = report(options)
    except (ValueError, OSError) as error:
        print(f"eval.report: error: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR
    return 0 if scores.totals else CHECK_FAILED


def report(options: argparse.Namespace) -> Scores:
    """The scores, after table and page were written and the table printed."""
    if options.samples is not None and not options.samples.is_dir():
        raise ValueError(f"--samples {options.samples} is no folder: give the one that was scored")
    scores = _scores(options.benchmark, options.results, options.prompts)
    table = table_of(scores, name=options.name)
    text = markdown(table)
    print(text, end="")
    sheets = _sheets(options, scores) if options.samples is not None else []
    stem = options.out / options.benchmark
    html = page(options.benchmark, table, sheets, beside=options.out)
    content = json.dumps(scores.to_dict(), indent=1, ensure_ascii=False) + "\n"
    for suffix, what in ((".md", text), (".json", content), (".html", html)):
        with replacing(stem.with_suffix(suffix)) as temporary:
            temporary.write_text(what, encoding="utf-8")
    print(f"\n{stem}.md, .json and .html written")
    return scores


def _scores(benchmark: str, results: Path, prompts: Path | None) -> Scores:
    if benchmark != "geneval":
        return read_vbench_results(results, benchmark)
    try:
        file = official_file(benchmark, prompts)
    except ValueError:  # not brought yet: counts can be compared without it
        return read_geneval_results(results)
    return read_geneval_results(results, read_geneval(file))


def _sheets(options: argparse.Namespace, scores: Scores) -> list[Sheet]:
    file, folder, num = official_file(options.benchmark, options.prompts), options.samples, options.num_samples
    if options.benchmark == "geneval":
        return list(geneval_sheets(folder, read_geneval(file), dict(scores.verdicts), num=num))
    return list(video_sheets(folder, read_videos(file, options.benchmark), num=num))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eval.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
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
