"""One process's share of a table: claimed, made, reported. Each command that makes something of a table does it so."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from lumos.media.parquet_rows import RowForm
from pre_tokenize.encode import Encoder, Limits, Product
from pre_tokenize.ledger import REPORT, Ledger, claimed, rank_folder, summary, write_json
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


def work(
    table: Table,
    *,
    folder: Location,
    rows: range,
    form: RowForm,
    settings: Mapping[str, Any],
    load: Callable[[], tuple[Product, Limits]],
) -> dict[str, Any]:
    """Make what is left of `rows`; return the report, which is also written and printed.

    Args:
        table: the items.
        folder: this process's own.
        rows: its share of the table.
        form: of what is made.
        settings: what must be the same for all rows of an output.
        load: makes the product, if anything is left to do.

    Raises:
        ValueError: another process works in the folder, or it was begun with other settings.
    """
    same = {"input_sha256": table.sha256, "input_rows": len(table.items), **settings}
    with claimed(folder, {**same, "rows": [rows.start, rows.stop]}):
        ledger = Ledger(folder, rows, form=form)
        if ledger.missing:
            product, limits = load()
            encoder = Encoder(table, product, limits=limits)
            with tqdm(total=len(rows), initial=ledger.num_done, unit="item", desc=folder.name) as bar:
                pace = encoder.run(ledger, on_row=bar.update).report()
            write_json(folder / PACE, pace)
            print(
                f"{folder}: {pace['clips_per_s']:.2f} clips/s, {pace['network_share']:.0%} of the time in the network"
            )
        report = ledger.report()
        where = os.fsencode(str(table.file.absolute())).decode(errors="replace")  # a name may be no UTF-8
        write_json(folder / REPORT, {"input_file": where, **report})
    print(f"{folder}: {summary(report)}")
    return report
