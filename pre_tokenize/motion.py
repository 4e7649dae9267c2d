"""Motion scores of videos: a CSV or a record of the release, and the same once more with `unimatch_flow`.

`python -m pre_tokenize.motion --input_file clips.csv --output_file scored.csv`

`unimatch_flow` is the name under which the release kept scores; `motion_estimator` says what made them here. Rows that
have none, as their file cannot be read, are left out, with their reasons in the report. Several processes (`--splits N
--rank R`) share the rows; the last to finish writes the file. Stopped or killed: the same command goes on. Both files
may lie in a store, by address.
"""

from xllmx.run.interrupt import loading

with loading("pre_tokenize.motion"):
    import argparse
    import os
    import sys
    from collections.abc import Sequence
    from functools import partial
    from pathlib import Path
    from typing import TYPE_CHECKING, Any

    from lumos.cli.options.spelling import said_as_options
    from lumos.hub.hashes import sha256_of
    from pre_tokenize.bookkeeping.place import Place
    from pre_tokenize.bookkeeping.records import Record, read_record, with_fields, write_rows_as
    from pre_tokenize.bookkeeping.share import complete_share
    from pre_tokenize.lists.item import MOTION_COLUMN
    from pre_tokenize.option_choices import ESTIMATORS
    from xllmx.disk.place import check_file, inputs_of
    from xllmx.ranks.ray_cluster import add_engine
    from xllmx.run.exit_status import CHECK_FAILED, status_of
    from xllmx.run.option_parser import OptionParser
    from xllmx.store.address import Location, location_of

if TYPE_CHECKING:  # torch and all: only once the list was read, so that mistakes in it are said at once
    from pre_tokenize.engines.engine import Job

ESTIMATOR_COLUMN = "motion_estimator"
"""Which estimator made a score."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`) of one process."""
    again = "stopped; run the same command again to go on"
    return status_of("pre_tokenize.motion", lambda: _main(arguments), words=arguments, stopped=again)


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    complete_share(options, os.environ, program="pre_tokenize.motion")
    with said_as_options(vars(options), separator="_"):
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    place = Place(rank=(options.rank, options.splits))
    if options.engine == "ray" and options.estimator == "dis":
        options.device = options.device or "cpu"  # it has no use for a GPU
    source, target = location_of(options.input_file), location_of(options.output_file)
    allowed = [location_of(one) for one in options.media_from]
    record = read_record(source, allowed=allowed)
    endings = (".csv",) if record.suffix == ".csv" else (".jsonl", ".json")
    if target.suffix.lower() not in endings:
        raise ValueError(
            f"--output_file {target}: of a {record.suffix} give a name that ends in {' or '.join(endings)}"
        )
    _check_output(target, source, weights=options.weights)
    with loading("pre_tokenize.motion"):
        from pre_tokenize.bookkeeping.work import is_whole, work
        from pre_tokenize.engines.engine import Making
        from pre_tokenize.engines.engine_options import device_of, engine_of
        from pre_tokenize.products.encode import Limits

    engine = engine_of(options)
    limits = Limits(shard_rows=options.shard_rows, num_workers=options.num_workers, device=device_of(options))
    parts = target.with_name(f"{target.name}.parts")
    making = Making(table=record.table, job=_job(options), limits=limits)
    report = work(making, folder=place.folder_in(parts), rows=place.rows_of(record.table), engine=engine)
    num_scored = _finish(record, target, parts=parts, splits=options.splits, estimator=options.estimator)
    if num_scored == 0:
        print(f"pre_tokenize.motion: no row has a score; {parts} has the reason of each", file=sys.stderr)
    return 0 if is_whole(report) and num_scored != 0 else CHECK_FAILED


def _check_output(target: Location, source: Location, *, weights: Path | None) -> None:
    """Raises ValueError where the file cannot be written, or something that is read would be written over."""
    if isinstance(target, Path):
        here = source if isinstance(source, Path) else None
        check_file(target, inputs=inputs_of({"--input_file": here, "--weights": weights}))
        return
    target.check_writable()
    if target == source:
        raise ValueError(f"{target} is --input_file, and would be written over; choose another place for the output")


def _job(options: argparse.Namespace) -> "Job":
    from pre_tokenize.engines.engine import Job
    from pre_tokenize.products.motion_scores import SCORES, MotionPictures, load_scores, write_scores

    name, weights, frame_choice = options.estimator, options.weights, options.frame_choice
    settings = {"to": "motion", "estimator": name, "frame_choice": frame_choice}
    if weights is not None and weights.is_file():
        settings["weights"] = sha256_of(weights)

    load = partial(load_scores, estimator=name, weights=weights, frame_choice=frame_choice)
    reader = partial(MotionPictures, frame_choice=frame_choice)
    return Job(load=load, reader=reader, write_shard=write_scores, form=SCORES, settings=settings)


def _finish(record: Record, target: Location, *, parts: Location, splits: int, estimator: str) -> int | None:
    """Write the scored table if every process has done its rows; return how many have a score, None before that."""
    from lumos.media.shards.parquet_rows import ParquetRows
    from pre_tokenize.bookkeeping.ledger import Ledger
    from pre_tokenize.products.motion_scores import SCORES

    places = [Place(rank=(rank, splits)) for rank in range(splits)]
    ledgers = [Ledger(place.folder_in(parts), place.rows_of(record.table), form=SCORES) for place in places]
    if waiting := sum(bool(ledger.missing) for ledger in ledgers):
        print(f"{target}: {waiting} of {splits} processes are not finished; the last of them writes it")
        return None
    found: dict[int, dict[str, Any]] = {}
    for ledger in ledgers:
        scores = ParquetRows(ledger.shards, form=SCORES)
        for row, motion in zip(scores.shapes[:, 0].tolist(), scores.column("motion").tolist(), strict=True):
            numbered = {} if record.suffix == ".csv" else {"ori_id": record.rows[row].get("ori_id", row)}
            found[row] = {**numbered, MOTION_COLUMN: motion, ESTIMATOR_COLUMN: estimator}
    write_rows_as(target, with_fields(record, found), more=["path", "text", MOTION_COLUMN, ESTIMATOR_COLUMN])
    print(f"{target}: {len(found)} of {len(record.rows)} rows have a score")
    return len(found)


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="python -m pre_tokenize.motion", description=__doc__)
    add = parser.add_argument
    add("--input_file", required=True, help="a .csv (columns path,text) or a record (.jsonl, .json); a path or URL")
    add("--media_from", action="append", default=[], metavar="URL", help="folder whose media the list may name by URL")
    add("--output_file", required=True, help="the same with scores, path or URL; the work is kept in FILE.parts")
    add("--estimator", choices=ESTIMATORS, default="dis", help="what measures flow (dis)")
    add("--weights", type=Path, help="unimatch: its released weights")
    add("--frame_choice", choices=["time", "released"], default="time", help="frames nearest in time, or by number")
    add("--splits", type=int, help="processes that share the rows (those of Slurm's array and of srun, or 1)")
    add("--rank", type=int, help="which of them this is, from 0 (as Slurm says)")
    add("--device", help="of unimatch: cuda when there is one, else cpu")
    add_engine(parser)
    add("--shard_rows", type=int, default=64, help="rows that a kill can cost")
    add("--num_workers", type=int, default=2, help="threads that decode ahead")
    return parser


if __name__ == "__main__":
    sys.exit(main())
