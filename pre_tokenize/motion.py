"""Motion scores of videos: a CSV or a record of the release, and the same once more with `unimatch_flow`.

`python -m pre_tokenize.motion --input_file clips.csv --output_file scored.csv`

`unimatch_flow` is the name under which the release kept scores; `motion_estimator` says what made them here. Rows that
have none, as their file cannot be read, are left out, with their reasons in the report. Several processes (`--splits N
--rank R`) share the rows; the last to finish writes the file. Stopped or killed: the same command goes on.
"""

from lumos.cli.interrupt import loading

with loading("pre_tokenize.motion"):
    import argparse
    import os
    import sys
    from collections.abc import Mapping, Sequence
    from dataclasses import asdict, dataclass
    from pathlib import Path
    from typing import Any

    import numpy as np
    import pyarrow as pa
    import torch
    from einops import rearrange
    from jaxtyping import Float32, UInt8
    from torch import Tensor

    from lumos.cli.exit_status import status_of
    from lumos.cli.option import OptionParser
    from lumos.hub.hashes import sha256_of
    from lumos.lumina_video.data.flow_estimators import ESTIMATORS, estimator_named
    from lumos.lumina_video.data.motion import FlowEstimator, motion_pictures, score_clips
    from lumos.lumina_video.encoding.clip_frames import MOTION_EVERY_S, motion_frames
    from lumos.media.chosen_frames import read_chosen
    from lumos.media.frames import FrameChoice
    from lumos.media.inputs import choose_device, pin
    from lumos.media.parquet_rows import ParquetRows, RowForm, write_rows
    from pre_tokenize.encode import Limits, Made
    from pre_tokenize.ledger import Ledger
    from pre_tokenize.lists.table import MOTION_COLUMN, Item
    from pre_tokenize.pixels import Pixels
    from pre_tokenize.records import Record, read_record, with_fields, write_rows_as
    from pre_tokenize.share import complete_share, own_gpu
    from pre_tokenize.work import Place, work
    from xllmx.disk.place import check_file, inputs_of

ESTIMATOR_COLUMN = "motion_estimator"
"""Which estimator made a score."""

SCORES = RowForm(
    what="motion scores",
    index_format="lumina-motion",
    schema=pa.schema([("row", pa.int64()), ("motion", pa.float64())]),
    large_column=None,
    shape_columns=("row",),
)
"""What the ledger keeps: a score of each row."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """What is made of a row."""

    row: int
    motion: float


class Scores:
    """Turns items into motion scores."""

    captioned = False
    decode = None

    def __init__(self, estimator: FlowEstimator, *, frame_choice: FrameChoice = "time") -> None:
        self._estimator, self._frame_choice = estimator, frame_choice

    @staticmethod
    def write_shard(path: Path, clips: Sequence[Any], *, metadata: Mapping[str, str]) -> None:
        """Write scores as one shard, whole or not at all."""
        write_rows(path, map(asdict, clips), form=SCORES, metadata=metadata)

    def read(self, path: Path) -> Pixels:
        """The pictures between which flow is measured. Raises `MediaError`."""
        chosen = read_chosen(
            path, motion_frames, step_s=MOTION_EVERY_S, prepare=_picture, frame_choice=self._frame_choice
        )
        return Pixels(frames=chosen.frames)

    def network(self, batch: Sequence[Pixels]) -> Tensor:
        """The scores [B] of clips of as many pictures."""
        clips = torch.stack([torch.from_numpy(pixels.frames) for pixels in batch])
        scores = score_clips(rearrange(clips, "B n H W C -> B n C H W"), self._estimator)
        return torch.tensor(scores, dtype=torch.float64)

    def made(self, batch: Sequence[tuple[Item, Pixels]], outputs: Tensor) -> Mapping[int, Made]:
        """A score for each item."""
        return {
            item.row: Score(row=item.row, motion=score)
            for (item, _), score in zip(batch, outputs.tolist(), strict=True)
        }


def _picture(pixels: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "320 576 3"]:
    return rearrange(motion_pictures(pixels[None]), "1 C H W -> H W C").contiguous().numpy()


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`lumos.cli.exit_status`) of one process."""
    again = "stopped; run the same command again to go on"
    return status_of("pre_tokenize.motion", lambda: _main(arguments), words=arguments, stopped=again)


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    complete_share(options, os.environ, program="pre_tokenize.motion")
    place = Place(rank=(options.rank, options.splits))
    device = options.device or own_gpu(os.environ, torch.cuda.device_count())
    limits = Limits(
        shard_rows=options.shard_rows, num_workers=options.num_workers, device=str(pin(choose_device(device)))
    )
    record = read_record(options.input_file)
    parts = options.output_file.with_name(f"{options.output_file.name}.parts")
    endings = (".csv",) if record.suffix == ".csv" else (".jsonl", ".json")
    if options.output_file.suffix.lower() not in endings:
        raise ValueError(
            f"--output_file {options.output_file}: of a {record.suffix} give a name that ends in {' or '.join(endings)}"
        )
    check_file(
        options.output_file, inputs=inputs_of({"--input_file": options.input_file, "--weights": options.weights})
    )
    settings = {"to": "motion", "estimator": options.estimator, "frame_choice": options.frame_choice}
    if options.weights is not None and options.weights.is_file():
        settings["weights"] = sha256_of(options.weights)

    def load() -> tuple[Scores, Limits]:
        estimator = estimator_named(options.estimator, weights=options.weights, device=limits.device)
        return Scores(estimator, frame_choice=options.frame_choice), limits

    work(
        record.table,
        folder=place.folder_in(parts),
        rows=place.rows_of(record.table),
        form=SCORES,
        settings=settings,
        load=load,
    )
    _finish(record, options.output_file, parts=parts, splits=options.splits, estimator=options.estimator)
    return 0


def _finish(record: Record, target: Path, *, parts: Path, splits: int, estimator: str) -> None:
    """Write the scored table if every process has done its rows."""
    places = [Place(rank=(rank, splits)) for rank in range(splits)]
    ledgers = [Ledger(place.folder_in(parts), place.rows_of(record.table), form=SCORES) for place in places]
    if waiting := sum(bool(ledger.missing) for ledger in ledgers):
        print(f"{target}: {waiting} of {splits} processes are not finished; the last of them writes it")
        return
    found: dict[int, dict[str, Any]] = {}
    for ledger in ledgers:
        scores = ParquetRows(ledger.shards, form=SCORES)
        for row, motion in zip(scores.shapes[:, 0].tolist(), scores.column("motion").tolist(), strict=True):
            numbered = {} if record.suffix == ".csv" else {"ori_id": record.rows[row].get("ori_id", row)}
            found[row] = {**numbered, MOTION_COLUMN: motion, ESTIMATOR_COLUMN: estimator}
    write_rows_as(target, with_fields(record, found), more=["path", "text", MOTION_COLUMN, ESTIMATOR_COLUMN])
    print(f"{target}: {len(found)} of {len(record.rows)} rows have a score")


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="python -m pre_tokenize.motion", description=__doc__)
    add = parser.add_argument
    add("--input_file", required=True, type=Path, help="a .csv with the column path, or a record (.jsonl, .json)")
    add("--output_file", required=True, type=Path, help="the same with scores; the work is kept in FILE.parts")
    add("--estimator", choices=list(ESTIMATORS), default="dis", help="what measures flow (dis)")
    add("--weights", type=Path, help="unimatch: its released weights")
    add("--frame_choice", choices=["time", "released"], default="time", help="frames nearest in time, or by number")
    add("--splits", type=int, help="processes that share the rows (those of Slurm's array and of srun, or 1)")
    add("--rank", type=int, help="which of them this is, from 0 (as Slurm says)")
    add("--device", help="of unimatch: cuda when there is one, else cpu")
    add("--shard_rows", type=int, default=64, help="rows that a kill can cost")
    add("--num_workers", type=int, default=2, help="threads that decode ahead")
    return parser


if __name__ == "__main__":
    sys.exit(main())
