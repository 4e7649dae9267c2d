"""Merge what all tasks and processes made into `index.json`, which data YAMLs point to."""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

if not __package__:  # run as a file: the folder above holds the package
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lumos.lumina_video.data.shards import LATENTS, shard_vae
from lumos.media.shards.parquet_rows import INDEX_NAME, ParquetRows, RowForm, num_rows, write_rows_index
from pre_tokenize.bookkeeping.ledger import (
    FORMS,
    MANIFEST,
    REPORT,
    UNSAID,
    Ledger,
    decoded_report,
    likely_cause,
    rank_folder,
    read_manifest,
    summary,
    write_json,
)
from pre_tokenize.bookkeeping.released_record import MERGED, left_by_release, merge_left, write_record
from pre_tokenize.lists.table import part_of
from xllmx.disk.place import check_file
from xllmx.run.exit_status import CHECK_FAILED, status_of
from xllmx.run.option_parser import OptionParser
from xllmx.store.address import Address, Location, location_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the index and the report of a pre-tokenisation; return the exit status (`xllmx.run.exit_status`)."""
    parser = OptionParser(prog="concat_record", description="Merge the shards of a pre-tokenisation into one index.")
    add = parser.add_argument
    add("--output_dir", "--sub_record_dir", required=True, help="the --output_dir of the pre-tokenisation")
    add("--save_path", help=f"its {INDEX_NAME} (if not given), or a {MERGED}: pickles as the release wrote")
    add("--merge_sub_tasks", action="store_true", help="taken, as the release does: all machines' parts are merged")
    add("--text_tokenizer", help=f"for a {MERGED}: the file that made the clips, if it is not in ckpts/")

    def merge() -> int:
        options = parser.parse_args(arguments)
        folder = options.output_dir = location_of(options.output_dir)
        record = _record(options)
        if left_by_release(folder):
            record = record or folder / MERGED
            print(f"{record}: {merge_left(folder, record)} samples that the release made")
            return 0
        if isinstance(record, Address):
            remedy = "give a path of the disk, or leave it out for the index"
            raise ValueError(f"--save_path {record}: the samples of a {MERGED} are written to the disk alone; {remedy}")
        report = concat(folder)
        print(f"{folder / INDEX_NAME}: {summary(report)}")
        if not report["clips"]:
            print(f"concat_record: there is no clip: {likely_cause(report)}; {REPORT} has every row", file=sys.stderr)
            return CHECK_FAILED
        if record:
            num = write_record(folder, record, rank=_ranks(folder)[0], text_tokenizer=options.text_tokenizer)
            print(f"{record}: {num} samples as the release wrote them")
        return 0

    return status_of("concat_record", merge, words=arguments)


def _record(options: argparse.Namespace) -> Location | None:
    """The list in the release's format that is asked for; None for the index. ValueError for another place or kind."""
    path = None if options.save_path is None else location_of(options.save_path)
    if path is None or path.absolute() == (options.output_dir / INDEX_NAME).absolute():
        return None
    if path.suffix != ".json":
        raise ValueError(f"--save_path {path}: give a name that ends in .json, such as {options.output_dir / MERGED}")
    if path.name in (INDEX_NAME, REPORT, MANIFEST):
        at_home = options.output_dir / INDEX_NAME
        raise ValueError(f"--save_path {path}: that name is of what lies with the shards; give {at_home}, or another")
    try:
        if isinstance(path, Address):
            path.check_writable()
        else:
            check_file(path)
    except ValueError as error:
        raise ValueError(f"--save_path: {error}") from error
    return path


def concat(folder: Location) -> dict[str, Any]:
    """Write `index.json` over the shards of every process, in the order of the CSV's rows; return the merged report.

    Raises `ValueError`, and leaves any index as it is, where a process is missing or unfinished, or where processes
    were not run under the same settings on the same CSV.
    """
    ranks = _ranks(folder)
    manifests = [_manifest(rank) for rank in ranks]
    settings = [{**UNSAID, **manifest, "rows": None} for manifest in manifests]
    for rank, setting in zip(ranks, settings, strict=True):
        if different := sorted(name for name in setting if setting[name] != settings[0].get(name)):
            raise ValueError(f"{rank} and {ranks[0]} were made with different {', '.join(different)}; make one again")
    if (form := FORMS.get(str(settings[0]["to"]))) is None:
        raise ValueError(f"{ranks[0]} holds {settings[0]['to']!r}, and only {' and '.join(FORMS)} have an index")
    rows = [range(*manifest["rows"]) for manifest in manifests]
    ledgers = [Ledger(rank, part, form=form) for rank, part in zip(ranks, rows, strict=True)]
    unfinished = [f"{x.folder} ({x.num_done} of {len(x.rows)} rows)" for x in ledgers if x.missing]
    if unfinished:
        raise ValueError(f"not finished: {'; '.join(unfinished)}; run these again, they go on where they stopped")
    if sum(len(ledger.rows) for ledger in ledgers) != _num_rows_of(folder, manifests[0]["input_rows"]):
        raise ValueError(f"{folder}: the processes' rows are not those of the CSV; delete what is of another run")
    reports = [ledger.report() for ledger in ledgers]
    report = {name: sum(each[name] for each in reports) for name in ("rows", "done", "clips")}
    report["sizes"] = dict(sum((Counter(each["sizes"]) for each in reports), Counter()).most_common())
    samples = [sample for ledger in ledgers for sample in ParquetRows(ledger.shards, form=form).decoded]
    report |= decoded_report(samples, folder.parent if _task_of(folder) else folder)
    report["unknown"] = dict(sum((Counter(each["unknown"]) for each in reports), Counter()))
    report["skipped"] = dict(sum((Counter(each["skipped"]) for each in reports), Counter()))
    report["skipped_items"] = [item for each in reports for item in each["skipped_items"]]
    write_json(folder / REPORT, report)
    shards = [path for x in ledgers for path in x.shards if num_rows(path, form=form)]
    skipped = {"skipped": report["skipped"]} if report["skipped"] else {}
    sizes = {"sizes": report["sizes"]}
    write_rows_index(folder / INDEX_NAME, shards, form=form, more={**sizes, **_vae_of(shards, form), **skipped})
    return report


def _vae_of(shards: Sequence[Location], form: RowForm) -> dict[str, Any]:
    """What the index says beside the list of the shards."""
    return {"vae": asdict(shard_vae(shards[0]))} if form is LATENTS and shards else {}


def _manifest(rank: Location) -> dict[str, Any]:
    """The manifest of a process; ValueError where it does not say of which rows."""
    manifest = read_manifest(rank)
    rows, total = manifest.get("rows"), manifest.get("input_rows")
    counts = [*rows, total] if isinstance(rows, list) and len(rows) == 2 else [None]
    if any(isinstance(count, bool) or not isinstance(count, int) or count < 0 for count in counts):
        raise ValueError(f"{rank / MANIFEST}: its rows are {rows!r:.80} of {total!r:.80}; delete {rank} and run again")
    return manifest


def _ranks(folder: Location) -> list[Location]:
    """The folder of every process of every task, or of the task that is given, in order; ValueError if one lacks."""
    if task := _task_of(folder):
        return [rank_folder(folder.parent, task=task, rank=rank) for rank in _numbered(folder, "of")]
    tasks = _numbered(folder, "in")
    found: list[Location] = []
    for task in tasks:
        ranks = _numbered(folder / f"{task[0]}-in-{task[1]}", "of")
        found += [rank_folder(folder, task=task, rank=rank) for rank in ranks]
    return found


def _task_of(folder: Location) -> tuple[int, int] | None:
    """(index, number) where a folder is that of one task, `{index}-in-{number}`."""
    match = re.fullmatch(r"(\d+)-in-(\d+)", folder.absolute().name)
    return (int(match[1]), int(match[2])) if match and any(folder.glob("*-of-*")) else None


def _num_rows_of(folder: Location, total: int) -> int:
    """How many of the CSV's rows belong to a folder: all, or those of its task."""
    task = _task_of(folder)
    return total if task is None else len(part_of(range(total), task[1], index=task[0] - 1))


def _numbered(folder: Location, word: str) -> list[tuple[int, int]]:
    """(index, number) of all the folders `{index}-{word}-{number}`: each of one number, none missing."""
    first = 1 if word == "in" else 0
    matches = [re.fullmatch(rf"(\d+)-{word}-(\d+)", path.name) for path in folder.glob(f"*-{word}-*") if path.is_dir()]
    found = sorted((int(match[1]), int(match[2])) for match in matches if match)
    if not found:
        merged = (folder / INDEX_NAME).exists()
        said = f"has its {INDEX_NAME}, and no parts to merge" if merged else "nothing was pre-tokenised here"
        raise ValueError(f"{folder}: {said} (no folder N-{word}-M); give the --output_dir of a pre-tokenisation")
    if len({total for _, total in found}) > 1:  # one that was killed before its first shard says nothing
        begun = {total for index, total in found if any((folder / f"{index}-{word}-{total}").rglob("rows-*.parquet"))}
        for index, total in found if begun else ():
            if total not in begun:
                print(
                    f"concat_record: left out, without a shard: {folder / f'{index}-{word}-{total}'}", file=sys.stderr
                )
        found = [place for place in found if place[1] in begun] or found
    if len(totals := sorted({total for _, total in found})) > 1:
        raise ValueError(f"{folder}: holds runs in {totals} parts side by side; delete all but one")
    missing = sorted({(first + k, totals[0]) for k in range(totals[0])} - set(found))
    if missing:
        names = ", ".join(f"{index}-{word}-{total}" for index, total in missing)
        raise ValueError(f"{folder}: not begun: {names}; run these first")
    return found


if __name__ == "__main__":
    sys.exit(main())
