"""`python -m pre_tokenize`: one process of a pre-tokenisation; run_tokenization.sh starts several."""

from lumos.cli.interrupt import loading

with loading("pre_tokenize"):
    import argparse
    import hashlib
    import sys
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    import torch
    from tqdm import tqdm

    from lumos.cli.exit_status import status_of
    from lumos.cli.option import OptionParser, said_as_options
    from lumos.hub.models import ckpts_root, resolve
    from lumos.media.inputs import choose_device
    from lumos.tokenizer.text import TextTokenizer
    from lumos.tokenizer.visual import VisualTokenizer
    from pre_tokenize.codes import Codes, Target
    from pre_tokenize.encode import Encoder, Limits
    from pre_tokenize.ledger import REPORT, Ledger, claimed, rank_folder, summary, write_json
    from pre_tokenize.table import Table, part_of, read_table

PACE = "pace.json"
"""File beside the report: how fast the last run was that had something to do."""
_DTYPES = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`lumos.cli.exit_status`) of one process."""
    again = "stopped; run the same command again to go on"
    return status_of("pre_tokenize", lambda: _main(arguments), stopped=again)


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    try:
        with said_as_options(vars(options), separator="_"):
            run(options)
    except torch.OutOfMemoryError as error:
        raise ValueError("the GPU's memory is full; give a smaller --batch_size") from error
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Make what is left of this process's rows; return its report, which is also written and printed."""
    task, rank = (options.task_id, options.all_tasks), (options.rank, options.splits)
    _require_place(task, rank)
    target = Target(
        modality=options.modality,
        size=options.target_size,
        fps=options.target_fps,
        duration=options.target_duration,
        frame_choice=options.frame_choice,
    )
    limits = _limits(options)
    dtype = _DTYPES[options.cosmos_dtype] if options.cosmos_dtype else None
    table = read_table(options.input_file)
    visual, text = _tokenizer_files(options.visual_tokenizer, options.text_tokenizer)
    rows = part_of(part_of(range(len(table.items)), task[1], index=task[0] - 1), rank[1], index=rank[0])
    folder = rank_folder(options.output_dir, task=task, rank=rank)
    manifest = {
        **_settings(table, target, visual=visual, text=text, dtype=options.cosmos_dtype),
        "rows": [rows.start, rows.stop],
    }
    with claimed(folder, manifest):
        ledger = Ledger(folder, rows)
        if ledger.missing:
            product = Codes(
                target,
                text=TextTokenizer.from_file(text),
                visual=VisualTokenizer.from_pretrained(visual, device=limits.device, dtype=dtype),
                device=limits.device,
            )
            encoder = Encoder(table, product, limits=limits)
            with tqdm(total=len(rows), initial=ledger.num_done, unit="item", desc=folder.name) as bar:
                pace = encoder.run(ledger, on_row=bar.update).report()
            write_json(folder / PACE, pace)
            print(
                f"{folder}: {pace['clips_per_s']:.2f} clips/s, {pace['network_share']:.0%} of the time in the network"
            )
        report = ledger.report()
        write_json(folder / REPORT, report)
    print(f"{folder}: {summary(report)}")
    return report


def _require_place(task: tuple[int, int], rank: tuple[int, int]) -> None:
    for name, number in (("all_tasks", task[1]), ("splits", rank[1])):
        if number < 1:
            raise ValueError(f"--{name} is {number}; it must be at least 1")
    if not 1 <= task[0] <= task[1]:
        raise ValueError(f"--task_id is {task[0]}; it must be one of 1..{task[1]} (--all_tasks is {task[1]})")
    if not 0 <= rank[0] < rank[1]:
        raise ValueError(f"--rank is {rank[0]}; it must be one of 0..{rank[1] - 1} (--splits is {rank[1]})")


def _limits(options: argparse.Namespace) -> Limits:
    """The limits that were given, or those that suit images or videos."""
    sizes = {"shard_rows": 64, "batch_size": 1} if options.modality == "video" else {"shard_rows": 512, "batch_size": 8}
    sizes |= {name: getattr(options, name) for name in sizes if getattr(options, name) is not None}
    return Limits(**sizes, num_workers=options.num_workers, device=str(choose_device(options.device)))


def _tokenizer_files(visual: str, text: str | None) -> tuple[Path, Path]:
    """The folder of the visual tokenizer and the file of the text tokenizer, from paths or from a model's name."""
    roots = [Path(visual), ckpts_root() / visual]
    folders = [folder for root in roots for folder in (root, root / "visual_tokenizer")]
    folder = next((folder for folder in folders if (folder / "encoder.jit").is_file()), None)
    if folder is None:
        files = resolve(visual)
        folder, found = files.visual_tokenizer, Path(text) if text else files.text_tokenizer
    else:
        beside = [folder.parent / "text_tokenizer.json", folder.parent / "tokenizer" / "text_tokenizer.json"]
        found = (
            Path(text) if text else next((path for path in beside if path.is_file()), folder / "text_tokenizer.json")
        )
    if not found.is_file():
        raise ValueError(f"--text_tokenizer {found}: no such file; give the text_tokenizer.json of the same model")
    return folder, found


def _settings(table: Table, target: Target, *, visual: Path, text: Path, dtype: str | None) -> dict[str, Any]:
    """The settings that must be the same for all rows of an output."""
    return {
        "input_sha256": table.sha256,
        "input_rows": len(table.items),
        "modality": target.modality,
        "target_size": target.size,
        "target_fps": target.fps,
        "target_duration": target.duration,
        **({"frame_choice": target.frame_choice} if target.modality == "video" else {}),
        "visual_tokenizer": _sha256(visual / "encoder.jit"),
        "text_tokenizer": _sha256(text),
        "cosmos_dtype": str(_DTYPES[dtype]).removeprefix("torch.") if dtype else "default",
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(
        separator="_", prog="python -m pre_tokenize", description="CSV of media and captions -> shards."
    )
    add = parser.add_argument
    add("--input_file", required=True, help="CSV with the columns path,text (others are let be)")
    add("--output_dir", required=True, help="where {task}-in-{tasks}/{rank}-of-{splits}/ are made")
    add("--modality", choices=["image", "video"], required=True)
    add("--target_size", type=int, default=352, help="352 is 256p, 528 is 384p, 656 is 480p")
    add("--target_fps", type=int, default=12, help="frames per second of videos")
    add("--target_duration", type=int, default=7, help="seconds of videos; shorter ones are skipped")
    add(
        "--frame_choice",
        choices=["time", "released"],
        default="time",
        help="frames of videos: nearest in time, or every int(source fps / target fps)-th as released",
    )
    add("--splits", type=int, default=1, help="processes that share this task")
    add("--rank", type=int, default=0, help="which of them this is, from 0")
    add("--all_tasks", type=int, default=1, help="machines that share the CSV")
    add("--task_id", type=int, default=1, help="which of them this is, from 1")
    add("--visual_tokenizer", default="lumos-tiny", help="folder with encoder.jit and decoder.jit, or a model's name")
    add("--text_tokenizer", help="text_tokenizer.json; the same model's if not given")
    add("--cosmos_dtype", choices=list(_DTYPES), help="precision of the visual tokenizer; its own if not given")
    add("--device", help="cuda when there is one, else cpu")
    add("--batch_size", type=int, help="clips of equal size encoded together: 8 images, 1 video")
    add("--shard_rows", type=int, help="rows per shard, what a kill can cost: 512 images, 64 videos")
    add("--num_workers", type=int, default=2, help="threads that decode ahead")
    return parser


if __name__ == "__main__":
    sys.exit(main())
