"""One process's share of a table: claimed, made, reported. Each command that makes something of a table does it so."""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import Any

from tqdm import tqdm

from lumos.media.decoded import DecodedSample, low_psnr
from pre_tokenize.bookkeeping.ledger import REPORT, Ledger, claimed, summary, write_json
from pre_tokenize.bookkeeping.place import Place as Place
from pre_tokenize.engines.engine import Engine, LostShard, Maker, Making, stretches_of
from pre_tokenize.engines.pace import Pace
from xllmx.store.address import Location

PACE = "pace.json"
"""File beside the report: how fast the last run was that had something to do."""


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
