"""Which machines' parts of a pre-tokenisation are not finished, as `sbatch --array` takes them: 3,7,9-12.

python -m pre_tokenize.outstanding --output_dir data/video

Standard output has that list and nothing else. The exit status is 0 where nothing is outstanding, 1 where something is.
What is found is in the names of the shards, and no shard is opened: a million of them take seconds.
"""

import argparse
import re
import sys
from collections.abc import Sequence

from pre_tokenize.bookkeeping.ledger import MANIFEST, has_all_rows, read_manifest
from xllmx.ranks.slurm import as_array
from xllmx.run.exit_status import CHECK_FAILED, status_of
from xllmx.run.option_parser import OptionParser
from xllmx.store.address import Location, location_of

_TASK, _RANK = re.compile(r"(\d+)-in-(\d+)"), re.compile(r"(\d+)-of-(\d+)")


def outstanding(folder: Location, *, all_tasks: int | None = None) -> tuple[list[int], int]:
    """Return the numbers, from 1, of the tasks that have rows without a shard, and how many tasks there are.

    Args:
        folder: the --output_dir.
        all_tasks: of how many tasks; None: as many as the names of its folders say.

    Raises:
        ValueError: nothing was begun there and `all_tasks` is not given, or tasks of another number were.
    """
    begun = {(int(found[1]), int(found[2])) for path in _folders(folder) if (found := _TASK.fullmatch(path.name))}
    numbers = {number for _, number in begun}
    if len(numbers) > 1:  # one that was killed before its first shard says nothing
        numbers = {number for number in numbers if any(map(_has_shards, folder.glob(f"*-in-{number}")))} or numbers
    if all_tasks is None and not numbers:
        raise ValueError(f"{folder}: nothing was begun here (no folder N-in-M); give its --output_dir, or --all_tasks")
    if len(numbers) > 1:
        raise ValueError(f"{folder}: holds runs in {sorted(numbers)} parts side by side; delete all but one")
    count = next(iter(numbers)) if all_tasks is None else all_tasks
    if numbers and count not in numbers:
        raise ValueError(f"--all_tasks is {count}, but {folder} was begun with --all_tasks {next(iter(numbers))}")
    if count < 1:
        raise ValueError(f"--all_tasks is {count}; it must be at least 1")
    return [task for task in range(1, count + 1) if not _is_finished(folder / f"{task}-in-{count}")], count


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`): 1 where something is outstanding."""
    return status_of("pre_tokenize.outstanding", lambda: _main(arguments), words=arguments)


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    numbers, count = outstanding(options.output_dir, all_tasks=options.all_tasks)
    if not numbers:
        print(f"{options.output_dir}: all {count} tasks are finished", file=sys.stderr)
        return 0
    print(as_array(numbers), flush=True)
    job = f"sbatch --array={as_array(numbers)} exps/slurm/pre_tokenize.sbatch --all_tasks {count}"
    what = f"{options.output_dir}: {len(numbers)} of {count} tasks are not finished"
    print(f"{what}; with Slurm: {job} and the words of before", file=sys.stderr)
    return CHECK_FAILED


def _is_finished(task: Location) -> bool:
    """Whether every process of a task has a shard for each of its rows."""
    found = {(int(match[1]), int(match[2])) for path in _folders(task) if (match := _RANK.fullmatch(path.name))}
    if len({splits for _, splits in found}) > 1:
        begun = {splits for _, splits in found if any(map(_has_shards, task.glob(f"*-of-{splits}")))}
        found = {place for place in found if place[1] in begun}
    if not found or {rank for rank, _ in found} != set(range(next(iter(found))[1])):
        return False
    return all(_is_done(task / f"{rank}-of-{splits}") for rank, splits in sorted(found))


def _is_done(rank: Location) -> bool:
    if not (rank / MANIFEST).exists():
        return False
    rows = read_manifest(rank).get("rows")
    if not isinstance(rows, list) or len(rows) != 2 or not all(type(row) is int for row in rows):
        raise ValueError(f"{rank / MANIFEST}: its rows are {rows!r:.80}; delete {rank} and run again")
    return has_all_rows(rank, range(*rows))


def _has_shards(folder: Location) -> bool:
    return any(folder.rglob("rows-*.parquet"))


def _folders(folder: Location) -> list[Location]:
    """The folders in a folder; none where it is not there."""
    return [path for path in folder.glob("*") if path.is_dir()]


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(
        prog="python -m pre_tokenize.outstanding",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--output_dir", type=location_of, required=True, help="the --output_dir of the pre-tokenisation"
    )
    parser.add_argument("--all_tasks", type=int, help="of how many tasks (as many as its folders say)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
