"""How long it takes to find what is missing of a pre-tokenisation of a million shards; empty files stand for shards.

    python -m benchmarks.ledger --shards 1000000 --processes 512

Two things are timed: `python -m pre_tokenize.outstanding` over all of it, and what a process that is started again
looks through, its own folder. The files are made in a folder of their own, which is removed.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pre_tokenize.bookkeeping.ledger import MANIFEST, Ledger, rank_folder
from pre_tokenize.lists.table import part_of
from pre_tokenize.outstanding import outstanding
from xllmx.ranks.slurm import as_array
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.settings.number_range import COUNT, check_number

RANKS = 8
"""Processes of a machine."""
SHARD_ROWS = 1024


def make_ledger(folder: Path, *, num_shards: int, num_tasks: int) -> list[int]:
    """Make a ledger of so many shards, of which the first of every tenth task is missing; return these tasks."""
    rows = range(num_shards * SHARD_ROWS)
    for number in range(num_tasks * RANKS):
        task, rank = divmod(number, RANKS)
        mine = part_of(part_of(rows, num_tasks, index=task), RANKS, index=rank)
        place = rank_folder(folder, task=(task + 1, num_tasks), rank=(rank, RANKS))
        assert isinstance(place, Path)
        place.mkdir(parents=True)
        (place / MANIFEST).write_text(json.dumps({"rows": [mine.start, mine.stop]}))
        for start in range(mine.start, mine.stop, SHARD_ROWS):
            if (task % 10, rank, start) != (9, 0, mine.start):
                stop = min(start + SHARD_ROWS, mine.stop)
                (place / f"rows-{start:09d}-{stop:09d}.parquet").touch()
    return [task + 1 for task in range(num_tasks) if task % 10 == 9]


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what it gives, its seconds and those of this process's CPU."""
    start, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - start, time.process_time() - cpu


def measure(num_shards: int, num_processes: int) -> dict[str, Any]:
    """Return what was found, and the seconds of each."""
    num_tasks = max(1, num_processes // RANKS)
    with tempfile.TemporaryDirectory(prefix="ledger-") as name:
        folder = Path(name)
        missing = make_ledger(folder, num_shards=num_shards, num_tasks=num_tasks)
        (found, _), all_s, all_cpu_s = timed(lambda: outstanding(folder))
        assert found == missing, (found, missing)
        rank = rank_folder(folder, task=(1, num_tasks), rank=(0, RANKS))
        rows = range(*json.loads((rank / MANIFEST).read_text())["rows"])
        ledger, one_s, one_cpu_s = timed(lambda: Ledger(rank, rows))
        assert not ledger.missing
    return {
        "shards": num_shards, "folders": num_tasks * RANKS, "files a folder": len(ledger.shards),
        "outstanding": as_array(found), "all_s": round(all_s, 2), "all_cpu_s": round(all_cpu_s, 2),
        "one_s": round(one_s, 3), "one_cpu_s": round(one_cpu_s, 3),
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    parser = OptionParser(prog="benchmarks.ledger", description="Seconds to find what is missing of a large ledger.")
    parser.add_argument("--shards", type=int, default=1_000_000, help="files (1,000,000)")
    parser.add_argument("--processes", type=int, default=512, help=f"that share them, {RANKS} a machine (512)")

    def run() -> int:
        options = parser.parse_args(arguments)
        for name in ("shards", "processes"):
            check_number(f"--{name}", int, getattr(options, name), COUNT)
        for name, value in measure(options.shards, options.processes).items():
            print(f"{name:16}{value}")
        return 0

    return status_of("benchmarks.ledger", run, words=arguments)


if __name__ == "__main__":
    sys.exit(main())
