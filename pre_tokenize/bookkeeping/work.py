"""One process's share of a table: claimed, made, reported. Each command that makes something of a table does it so."""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from tqdm import tqdm

from lumos.media.decoded import DecodedSample, low_psnr
from pre_tokenize.bookkeeping.ledger import REPORT, Ledger, claimed, rank_folder, summary, write_json
from pre_tokenize.engines.engine import Engine, LostShard, Maker, Making, stretches_of
from pre_tokenize.engines.pace import Pace
from pre_tokenize.lists.table import Table, part_of
from xllmx.store.address import Location

PACE = "pace.json"
"""File beside the report: how fast the last run was that had something to do."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which share of a table is this process's. Raises `ValueError` for one that is not there."""

    task: tuple[int, int] = (1, 1)
    """Index from 1, number: of the machines that share the table."""
    rank: tuple[int, int] = (0, 1)
    """Index from 0, number: of the processes that share the machine's part."""

    def __post_init__(self) -> None:
        for name, number in (("all_tasks", self.task[1]), ("splits", self.rank[1])):
            if number < 1:
                raise ValueError(f"--{name} is {number}; it must be at least 1")
        task, rank = self.task, self.rank
        if not 1 <= task[0] <= task[1]:
            raise ValueError(f"--task_id is {task[0]}; it must be one of 1..{task[1]} (--all_tasks is {task[1]})")
        if not 0 <= rank[0] < rank[1]:
            raise ValueError(f"--rank is {rank[0]}; it must be one of 0..{rank[1] - 1} (--splits is {rank[1]})")

    def rows_of(self, table: Table) -> range:
        """The rows of this process."""
        mine = part_of(range(len(table.items)), self.task[1], index=self.task[0] - 1)
        return part_of(mine, self.rank[1], index=self.rank[0])

    def folder_in(self, output_dir: str | Location) -> Location:
        """The folder of this process."""
        return rank_folder(output_dir, task=self.task, rank=self.rank)


def work(making: Making, *, folder: Location, rows: range, engine: Engine) -> dict[str, Any]:
    """Make what is left of `rows`; return the report, which is printed, and written once all rows are done.

    Args:
        making: what is made of which list.
        folder: this process's own.
        rows: its share of the list.
        engine: who makes it.

    Raises:
        ValueError: another process works in the folder, or it was begun with other settings.
    """
    table, job = making.table, making.job
    same = {"input_sha256": table.sha256, "input_rows": len(table.items), **job.settings}
    with claimed(folder, {**same, "rows": [rows.start, rows.stop]}):
        ledger = Ledger(folder, rows, form=job.form)
        if ledger.missing:
            bar = partial(tqdm, total=len(rows), initial=ledger.num_done, unit="item", desc=folder.name)
            with engine.ready(making) as make, bar() as shown:
                pace = fill(ledger, making, make, on_rows=shown.update).report()
            write_json(folder / PACE, pace)
            print(
                f"{folder}: {pace['clips_per_s']:.2f} clips/s, {pace['network_share']:.0%} of the time in the network"
            )
        report = ledger.report()
        where = os.fsencode(str(table.file.absolute())).decode(errors="replace")  # a name may be no UTF-8
        if is_whole(report):
            write_json(folder / REPORT, {"input_file": where, **report})
    print(f"{folder}: {summary(report)}")
    return report


def fill(ledger: Ledger, making: Making, make: Maker, *, on_rows: Callable[[int], object]) -> Pace:
    """Have made what a ledger misses, and write each shard when it comes; return how fast that was.

    The first shard whose clips come back as blotches is said at once, and so are rows that were given up.
    """
    pace, low = Pace(), None
    shards = stretches_of(ledger.missing, making.limits.shard_rows)
    with closing(make(shards, pace=pace, on_rows=on_rows)) as made:
        for one in made:
            if isinstance(one, LostShard):
                again = "the rest goes on, and the same command tries them again"
                _warn(f"rows {one.rows.start} to {one.rows.stop - 1} are not done: {one.why}; {again}")
                continue
            shard = ledger.write(
                one.rows, one.clips, skipped=one.skipped, write_shard=making.job.write_shard, psnr_db=one.psnr_db
            )
            said = low_psnr([DecodedSample(file=shard, psnr_db=one.psnr_db)], remedy=ledger.form.remedy)
            if said and not low:
                _warn(said)
            low = low or said
    return pace


def is_whole(report: Mapping[str, Any]) -> bool:
    """Whether all rows of a report are done: an engine may have given some up."""
    return bool(report["done"] == report["rows"])


def _warn(what: str) -> None:
    tqdm.write(f"pre_tokenize: warning: {what}", file=sys.stderr)
