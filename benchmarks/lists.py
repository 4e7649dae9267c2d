"""What reading a list of very many rows takes: seconds, and memory beyond what was held before.

`python -m benchmarks.lists --rows 5000000 --kind csv`
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pre_tokenize.lists.table import read_table
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser

_TEXT = "number {0}: a red circle moves slowly from the left to the right, while a blue square turns around itself"
_AT_ONCE = 50_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a list, read it once for its length and once row by row, and print what that took."""
    parser = OptionParser(prog="python -m benchmarks.lists", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the list (100000)")
    parser.add_argument("--kind", choices=["csv", "parquet"], default="csv", help="of the list")
    return status_of("benchmarks.lists", lambda: _measure(parser.parse_args(arguments)), words=arguments)


def _measure(options: argparse.Namespace) -> int:
    if options.rows < 1:
        raise ValueError(f"--rows is {options.rows}; a list has at least 1")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"list.{options.kind}"
        _write(file, options.rows)
        held, began = _peak_mb(), time.perf_counter()
        table = read_table(file)
        opened, opened_mb = time.perf_counter() - began, _peak_mb() - held
        num = sum(item.row >= 0 for item in table.items)
        whole = time.perf_counter() - began - opened
        size = file.stat().st_size / 2**20
        print(f"{options.kind} of {num:,} rows, {size:,.0f} MiB")
        print(f"opened and checked: {opened:.1f} s, {opened_mb:.1f} MiB beyond the {held:.0f} MiB held before")
        print(f"all rows, one by one: {whole:.1f} s, {_peak_mb() - held:.1f} MiB at most")
    return 0


def _rows(num: int) -> Iterator[tuple[list[str], list[str]]]:
    for start in range(0, num, _AT_ONCE):
        rows = range(start, min(start + _AT_ONCE, num))
        yield [f"videos/{row // 1000:06d}/{row:09d}.mp4" for row in rows], [_TEXT.format(row) for row in rows]


def _write(file: Path, num: int) -> None:
    if file.suffix == ".csv":
        with file.open("w", encoding="utf-8") as stream:
            stream.write("path,text\n")
            for paths, texts in _rows(num):
                stream.writelines(f'{path},"{text}"\n' for path, text in zip(paths, texts, strict=True))
        return
    schema = pa.schema([("path", pa.string()), ("text", pa.string())])
    with pq.ParquetWriter(file, schema) as writer:
        for paths, texts in _rows(num):
            writer.write_table(pa.table([paths, texts], schema=schema))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


if __name__ == "__main__":
    sys.exit(main())
