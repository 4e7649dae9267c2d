"""`python -m pre_tokenize`: one process of a pre-tokenisation; run_tokenization.sh starts several."""

from lumos.cli.interrupt import loading

with loading("pre_tokenize"):
    import argparse
    import sys
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any, get_args

    import torch

    from lumos.cli.exit_status import CHECK_FAILED, status_of
    from lumos.cli.option import OptionParser, said_as_options
    from lumos.media.decord_frames import Reader
    from lumos.media.inputs import choose_device, pin
    from lumos.media.parquet_rows import INDEX_NAME
    from pre_tokenize.decoded_again import NUM_DECODED
    from pre_tokenize.encode import Limits
    from pre_tokenize.job import DTYPES, TF32, job_of
    from pre_tokenize.ledger import FORMS, MANIFEST, REPORT, likely_cause
    from pre_tokenize.table import modality_of, read_table
    from pre_tokenize.work import PACE, Place, work
    from xllmx.place import check_file, check_folder, inputs_of


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`lumos.cli.exit_status`) of one process: 1 where it had all rows and none gave a clip."""
    again = "stopped; run the same command again to go on"
    return status_of("pre_tokenize", lambda: _main(arguments), words=arguments, stopped=again)


def _main(arguments: Sequence[str] | None) -> int:
    options = option_parser().parse_args(arguments)
    try:
        with said_as_options(vars(options), separator="_"):
            report = run(options)
    except torch.OutOfMemoryError as error:
        raise ValueError("the GPU's memory is full; give a smaller --batch_size, or --num_decoded 0") from error
    alone = options.splits == options.all_tasks == 1  # of several processes concat_record says it, of all rows
    if alone and not report["clips"]:
        print(f"pre_tokenize: there is no clip: {likely_cause(report)}", file=sys.stderr)
        return CHECK_FAILED
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Make what is left of this process's rows; return its report, which is also written and printed."""
    place = Place(task=(options.task_id, options.all_tasks), rank=(options.rank, options.splits))
    table = read_table(options.input_file)
    if options.modality is None:
        options.modality = modality_of(table)
    if options.video_frame_batch_size is not None:
        print("--video_frame_batch_size has no meaning: the tokenizer takes whole clips; --batch_size says how many")
    job, limits = job_of(options), _limits(options)
    folder = place.folder_in(options.output_dir)
    _check_output(options, folder)
    return work(
        table,
        folder=folder,
        rows=place.rows_of(table),
        form=FORMS[options.to],
        settings={"to": options.to, **job.settings},
        load=lambda: (job.load(limits), limits),
    )


def _check_output(options: argparse.Namespace, folder: Path) -> None:
    """Raises ValueError where the CSV lies in the place of something that is written, or nothing can be."""
    table = Path(options.input_file)
    inputs = inputs_of({"--input_file": table, "--text_tokenizer": options.text_tokenizer})
    try:
        check_folder(folder, inputs=inputs)
        for place in (options.output_dir, folder):
            for name in (INDEX_NAME, REPORT, MANIFEST, PACE):
                check_file(Path(place) / name, inputs=inputs)
    except ValueError as error:
        raise ValueError(f"--output_dir: {error}") from error
    if table.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"--input_file {table} lies where the shards go ({folder}); give another --output_dir")


def _limits(options: argparse.Namespace) -> Limits:
    """The limits that were given, or those that suit images or videos."""
    sizes = {"shard_rows": 64, "batch_size": 1} if options.modality == "video" else {"shard_rows": 512, "batch_size": 8}
    sizes |= {name: getattr(options, name) for name in sizes if getattr(options, name) is not None}
    same = {"num_workers": options.num_workers, "num_decoded": options.num_decoded}
    return Limits(**sizes, **same, device=str(pin(choose_device(options.device))))


def option_parser() -> argparse.ArgumentParser:
    """The parser of the options; the names that the release gave them are taken too."""
    parser = OptionParser(prog="python -m pre_tokenize", description="CSV of media and captions -> shards.")
    add = parser.add_argument
    add("--input_file", "--in_filename", required=True, help="CSV with the columns path,text (others are let be)")
    add("--output_dir", "--out_dir", required=True, help="where {task}-in-{tasks}/{rank}-of-{splits}/ are made")
    add("--modality", choices=["image", "video"], help="what the CSV lists; if not given, as its files' names end")
    add("--to", choices=list(FORMS), default="codes", help="codes of Lumos-1, or latents of Lumina-Video")
    add("--size", metavar="WxH", help="size that items are cut to, or several with commas: of each the nearest aspect")
    add("--target_size", type=int, help="of any aspect: of codes, 352: 256p, 528: 384p, 656: 480p; of latents 256, 512")
    add("--target_fps", type=int, help="frames per second of videos (the model's, or codes: 12, latents: 16)")
    add("--target_duration", type=int, help="codes: seconds of videos (the model's, or 7); shorter ones are skipped")
    add("--most_seconds", type=int, help="latents: longer videos are skipped (30)")
    add(
        "--frame_choice",
        choices=["time", "released"],
        default="time",
        help="frames of videos: nearest in time, or by number as released",
    )
    add("--reader", choices=get_args(Reader), help="codes, frames by number: decord where it is installed (auto)")
    add("--splits", type=int, default=1, help="processes that share this task")
    add("--rank", type=int, default=0, help="which of them this is, from 0")
    add("--all_tasks", type=int, default=1, help="machines that share the CSV")
    add("--task_id", type=int, default=1, help="which of them this is, from 1")
    add("--visual_tokenizer", help="codes: a folder, Cosmos-Tokenizer-DV4x8x8 or a model's name (lumos-tiny)")
    add("--text_tokenizer", help="codes: text_tokenizer.json; the same model's if not given")
    add("--cosmos_dtype", choices=[*DTYPES, TF32], help="codes: precision of the tokenizer; its own if not given")
    add("--vae", help="latents: folder of the VAE, or of the model that has it")
    add("--vae_dtype", choices=list(DTYPES), help="latents: precision of the VAE (float32)")
    add("--device", help="cuda when there is one, else cpu")
    add("--batch_size", type=int, help="clips of equal size encoded together: 8 images, 1 video")
    add("--video_frame_batch_size", type=int, help="taken, as the release does, and without meaning")
    add("--shard_rows", type=int, help="rows per shard, what a kill can cost: 512 images, 64 videos")
    add("--num_workers", type=int, default=2, help="threads that decode ahead")
    add("--num_decoded", type=int, default=NUM_DECODED, help="clips of a shard decoded again for their PSNR; 0: none")
    return parser


if __name__ == "__main__":
    sys.exit(main())
