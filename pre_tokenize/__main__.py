"""`python -m pre_tokenize`: one process of a pre-tokenisation; run_tokenization.sh starts several."""

from xllmx.run.interrupt import loading

with loading("pre_tokenize"):
    import argparse
    import os
    import sys
    from collections.abc import Sequence
    from pathlib import Path
    from typing import TYPE_CHECKING, Annotated, Any

    from lumos.cli.options.spelling import said_as_options
    from pre_tokenize.bookkeeping.place import Place
    from pre_tokenize.bookkeeping.share import complete_share
    from pre_tokenize.lists.table import Table, modality_of, read_table
    from pre_tokenize.option_choices import DTYPES, NUM_DECODED, PRODUCTS, READERS, TF32
    from xllmx.disk.place import check_file, check_folder, inputs_of
    from xllmx.ranks.ray_cluster import add_engine
    from xllmx.run.exit_status import CHECK_FAILED, status_of
    from xllmx.run.option_parser import OptionParser
    from xllmx.settings.number_range import Range, check_number
    from xllmx.store.address import Address, Location, location_of

if TYPE_CHECKING:  # torch and all: only once the list was read, so that mistakes in it are said at once
    from pre_tokenize.engines.engine import Job
    from pre_tokenize.products.encode import Limits

_SAID = ("size", "target_size", "target_fps", "target_duration", "most_seconds", "frame_choice")
"""Settings that decide which rows are kept, and how they are cut."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`) of one process: 1 where it had all rows and none gave a clip."""
    words = sys.argv[1:] if arguments is None else arguments
    is_dry = any(word in ("--dry_run", "--dry-run") for word in words)
    again = "stopped" if is_dry else "stopped; run the same command again to go on"
    return status_of("pre_tokenize", lambda: _main(arguments), words=arguments, stopped=again)


def _main(arguments: Sequence[str] | None) -> int:
    options = option_parser().parse_args(arguments)
    try:
        complete_share(options, os.environ, program="pre_tokenize")
        with said_as_options(vars(options), separator="_"):
            report = look(options) if options.dry_run else run(options)
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":
            raise
        raise ValueError("the GPU's memory is full; give a smaller --batch_size, or --num_decoded 0") from error
    from pre_tokenize.bookkeeping.ledger import REPORT, likely_cause
    from pre_tokenize.bookkeeping.work import is_whole

    if not (options.dry_run or is_whole(report)):
        return CHECK_FAILED
    # Of several processes concat_record says it, of all rows.
    alone = options.splits == options.all_tasks == 1 or options.dry_run
    if alone and not report["clips"]:
        more = "" if options.dry_run else f"; {REPORT} has every row"
        print(f"pre_tokenize: there is no clip: {likely_cause(report)}{more}", file=sys.stderr)
        return CHECK_FAILED
    if alone and report["skipped"] and not options.dry_run:
        again = "they are not tried again here: once they are mended, give a list of them another --output_dir"
        print(f"pre_tokenize: of skipped rows {REPORT} has the reasons; {again}", file=sys.stderr)
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Make what is left of this process's rows; return its report, which is also written and printed."""
    place = Place(task=(options.task_id, options.all_tasks), rank=(options.rank, options.splits))
    for name in ("sheet", "sheet_clips"):
        if getattr(options, name) is not None:
            raise ValueError(f"--{name} goes with --dry_run; leave it out, or look at what was made: lumos look FOLDER")
    if options.output_dir is None:
        raise ValueError("--output_dir is missing; say where the shards go, or --dry_run to see what would be kept")
    table = _table(options)
    with loading("pre_tokenize"):
        from pre_tokenize.bookkeeping.work import work
        from pre_tokenize.engines.engine import Making
        from pre_tokenize.engines.engine_options import engine_of

    job, limits = _asked(options)
    folder = place.folder_in(options.output_dir)
    _check_output(options, folder)
    making = Making(table=table, job=job, limits=limits)
    return work(making, folder=folder, rows=place.rows_of(table), engine=engine_of(options))


def look(options: argparse.Namespace) -> dict[str, Any]:
    """Say which of this process's rows would give clips, and why not the others; return the counts. Nothing is made."""
    place = Place(task=(options.task_id, options.all_tasks), rank=(options.rank, options.splits))
    table = _table(options)
    with loading("pre_tokenize"):
        from lumos.look.sheet import check_sheet
        from pre_tokenize.dry_run import DryRun, in_words, look_at, write_kept

    job, limits = _asked(options)
    num = 16 if options.sheet_clips is None else options.sheet_clips
    check_number("sheet_clips", Annotated[int, Range(1, 400)], num)
    sheet = None if options.sheet is None else Path(options.sheet)
    if sheet is not None:
        check_sheet(sheet, inputs={"--input_file": table.file if isinstance(table.file, Path) else None})
    rows, reader = place.rows_of(table), job.reader()
    asked = [f"--{name} {job.settings[name]}" for name in _SAID if name in job.settings]
    what = ", ".join([f"to be {options.to} of {options.modality}s", *asked])
    found = DryRun(num_rows=len(rows), most_shown=num if sheet else 0)
    try:
        look_at(found, table, reader, rows=rows, num_workers=limits.num_workers)
    finally:  # after Ctrl-C what was found is said too
        if found.num_done:
            print(in_words(found, table, what=what))
    if not found.num_done:
        raise ValueError("no row is this process's; give fewer --splits or --all_tasks")
    if sheet is not None and found.num_kept:
        kept = f"{found.num_kept:,} of {found.num_done:,} rows would be kept"
        print(f"{sheet}: {write_kept(sheet, found, title=f'{table.file.name}: {kept}')} of them in pictures")
    return found.report()


def _table(options: argparse.Namespace) -> Table:
    """The list, read without torch, which takes seconds to load; `options` is completed with what it lists."""
    table = read_table(options.input_file, allowed=[location_of(one) for one in options.media_from])
    if options.modality is None:
        options.modality = modality_of(table)
    return table


def _asked(options: argparse.Namespace) -> "tuple[Job, Limits]":
    """What is made of the list, and within which limits; `options` is completed."""
    from pre_tokenize.job import job_of

    if options.video_frame_batch_size is not None:
        print("--video_frame_batch_size has no meaning: the tokenizer takes whole clips; --batch_size says how many")
    return job_of(options), _limits(options)


def _check_output(options: argparse.Namespace, folder: Location) -> None:
    """Raises ValueError where the CSV lies in the place of something that is written, or nothing can be."""
    if isinstance(folder, Address):  # who may write there is found when the folder is claimed
        return
    from lumos.media.shards.parquet_rows import INDEX_NAME
    from pre_tokenize.bookkeeping.ledger import MANIFEST, REPORT
    from pre_tokenize.bookkeeping.work import PACE

    named = location_of(options.input_file)
    table = named if isinstance(named, Path) else None
    inputs = inputs_of({"--input_file": table, "--text_tokenizer": options.text_tokenizer})
    try:
        check_folder(folder, inputs=inputs)
        for place in (options.output_dir, folder):
            for name in (INDEX_NAME, REPORT, MANIFEST, PACE):
                check_file(Path(place) / name, inputs=inputs)
    except ValueError as error:
        raise ValueError(f"--output_dir: {error}") from error
    if table is not None and table.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"--input_file {table} lies where the shards go ({folder}); give another --output_dir")


def _limits(options: argparse.Namespace) -> "Limits":
    """The limits that were given, or those that suit images or videos."""
    from pre_tokenize.engines.engine_options import device_of
    from pre_tokenize.products.encode import Limits

    sizes = {"shard_rows": 64, "batch_size": 1} if options.modality == "video" else {"shard_rows": 512, "batch_size": 8}
    sizes |= {name: getattr(options, name) for name in sizes if getattr(options, name) is not None}
    same = {"num_workers": options.num_workers, "num_decoded": options.num_decoded}
    return Limits(**sizes, **same, device=device_of(options))


def option_parser() -> argparse.ArgumentParser:
    """The parser of the options; the names that the release gave them are taken too."""
    parser = OptionParser(prog="python -m pre_tokenize", description="CSV of media and captions -> shards.")
    add = parser.add_argument
    add("--input_file", "--in_filename", required=True, help="CSV or Parquet with the columns path,text, or .tar")
    add("--media_from", action="append", default=[], metavar="URL", help="folder whose media the list may name by URL")
    add("--output_dir", "--out_dir", help="where {task}-in-{tasks}/{rank}-of-{splits}/ are made")
    add("--modality", choices=["image", "video"], help="what the CSV lists; if not given, as its files' names end")
    add("--to", choices=PRODUCTS, default="codes", help="codes of Lumos-1, or latents of Lumina-Video")
    add("--size", metavar="WxH", help="size that items are cut to, or several with commas: of each the nearest aspect")
    add("--target_size", type=int, help="of any aspect: of codes, 352: 256p, 528: 384p, 656: 480p; of latents 256, 512")
    add("--target_fps", type=int, help="frames per second of videos (the model's, or codes: 12, latents: 16)")
    add("--target_duration", type=int, help="codes: seconds of videos (the model's, or 7); shorter ones are skipped")
    add("--most_seconds", type=int, help="latents: longer videos, which are encoded as a whole, are skipped (30)")
    add(
        "--frame_choice",
        choices=["time", "released"],
        default="time",
        help="frames of videos: nearest in time, or by number as released",
    )
    add("--reader", choices=READERS, help="codes, frames by number: decord where it is installed (auto)")
    add("--splits", type=int, help="processes that share this task (those of srun, or 1)")
    add("--rank", type=int, help="which of them this is, from 0 (SLURM_PROCID)")
    add("--all_tasks", type=int, help="machines that share the CSV (jobs of Slurm's array, or 1)")
    add("--task_id", type=int, help="which of them this is, from 1 (SLURM_ARRAY_TASK_ID)")
    add("--visual_tokenizer", help="codes: a folder, Cosmos-Tokenizer-DV4x8x8, tiny-visual or a model's name")
    add("--text_tokenizer", help="codes: text_tokenizer.json; the same model's if not given")
    add("--cosmos_dtype", choices=[*DTYPES, TF32], help="codes: precision of the tokenizer; its own if not given")
    add("--vae", help="latents: folder of the VAE, or of the model that has it, or its name")
    add("--vae_dtype", choices=list(DTYPES), help="latents: precision of the VAE (float32)")
    add("--device", help="cuda when there is one, else cpu")
    add("--batch_size", type=int, help="clips of equal size encoded together: 8 images, 1 video")
    add("--video_frame_batch_size", type=int, help="taken, as the release does, and without meaning")
    add("--shard_rows", type=int, help="rows per shard, what a kill can cost: 512 images, 64 videos")
    add("--num_workers", type=int, default=2, help="threads that decode ahead")
    add("--num_decoded", type=int, default=NUM_DECODED, help="clips of a shard decoded again for their PSNR; 0: none")
    add_engine(parser)
    add("--dry_run", action="store_true", help="say which rows would be kept, and why not the others; make nothing")
    add("--sheet", metavar="FILE", help="with --dry_run: a picture of rows as they would be cut, .png")
    add("--sheet_clips", type=int, metavar="N", help="how many rows are on it (16)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
