"""Merge the records of several ranks, as the release of Lumina-Video wrote them, into one (its step after each tool).

`python -m pre_tokenize.concat_records --record_dir data/records` reads every `N-of-M-record.json` and `.jsonl` in the
folder (a name that only begins so is none of them) and writes `record.jsonl` there, sorted by `ori_id`.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pre_tokenize.bookkeeping.records import write_rows_as
from xllmx.disk.place import check_file, inputs_of
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.safe.json_text import parse_json, read_text

RECORD = "record.jsonl"
"""The merged record's name, if none is given."""
_NAME = re.compile(r"(\d+)-of-\d+-record\.jsonl?", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_MOST_BYTES = 2**30


def main(arguments: Sequence[str] | None = None) -> int:
    """Merge records; return the exit status (`xllmx.run.exit_status`)."""
    parser = OptionParser(prog="pre_tokenize.concat_records", description=__doc__)
    parser.add_argument("--record_dir", type=Path, required=True, help="folder of the N-of-M-record.jsonl")
    parser.add_argument("--save_path", type=Path, help=f"a .jsonl or .json to write ({RECORD} in the folder)")

    def merge() -> int:
        options = parser.parse_args(arguments)
        target = options.save_path or options.record_dir / RECORD
        print(f"{target}: {concat_records(options.record_dir, target)} rows")
        return 0

    return status_of("pre_tokenize.concat_records", merge, words=arguments)


def concat_records(folder: Path, target: Path) -> int:
    """Write the merged record of a folder; return its number of rows.

    Every file is read as JSON lines, in which NaN may stand, as the release wrote it. A last line that is broken and
    has no end is still being written, and is left out; another broken one is left out with a warning.

    Raises:
        ValueError: a row has no `ori_id`, two with the same one differ, the target's name ends otherwise, it is one of
            the records or cannot be written, or there is no record.
    """
    if target.suffix not in (".json", ".jsonl"):
        raise ValueError(f"--save_path {target}: the name must end in .jsonl or .json")
    if not folder.is_dir():
        raise ValueError(f"--record_dir {folder}: no such folder; give the one of the records")
    named = [(match, path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    files = [path for _, path in sorted((int(match[1]), path) for match, path in named)]
    if not files:
        raise ValueError(f"--record_dir {folder}: holds no N-of-M-record.jsonl; give the folder of the records")
    try:
        check_file(target, inputs=inputs_of({f"one of the records ({file})": file for file in files}))
    except ValueError as error:
        raise ValueError(f"--save_path: {error}") from error
    rows: dict[int | str, dict[str, Any]] = {}
    for file in files:
        for row in _rows(file):
            number = _ori_id(row, file)
            if number in rows and rows[number] != row:
                raise ValueError(f"{file}: ori_id {number} stands for two different rows; they are of different runs")
            rows[number] = row
    numbers = sorted(number for number in rows if isinstance(number, int))
    names = sorted(name for name in rows if isinstance(name, str))
    write_rows_as(target, [rows[number] for number in numbers] + [rows[name] for name in names])
    return len(rows)


def _rows(file: Path) -> list[Any]:
    text = read_text(file, most_bytes=_MOST_BYTES)
    lines = [line for line in text.split("\n") if line.strip()]
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(parse_json(line, f"{file}, line {number}", finite=False))
        except ValueError as error:
            if number < len(lines) or text.endswith("\n"):
                print(f"concat_records: left out: {error}", file=sys.stderr)
    return rows


def _ori_id(row: Any, file: Path) -> int | str:
    """The number of a row in the list it is of, which some tools write as text, or its name; numbers come first."""
    number = row.get("ori_id") if isinstance(row, dict) else None
    if isinstance(number, bool) or not isinstance(number, int | str) or number == "":
        raise ValueError(f"{file}: a row has no ori_id ({str(row)[:60]}); it is no record of a tool that went before")
    return int(number) if isinstance(number, str) and _NUMBER.fullmatch(number) else number


if __name__ == "__main__":
    sys.exit(main())
