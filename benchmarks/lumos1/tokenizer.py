"""`python -m benchmarks.lumos1.tokenizer`: pre-tokenisation clip by clip, and ours, which decodes ahead in workers.

Clips of the shapes world are written as video files, larger than they are coded. The literal way reads, crops and codes
one after the other; ours is `pre_tokenize` itself, its shards included. The network alone, on pixels in memory, is what
neither can beat.
"""

import argparse
import csv
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measure import Comparison, compare
from benchmarks.report import output_file, write_report
from lumos.hub.models import resolve
from lumos.lumos1.data.shards import CLIPS, write_shard
from lumos.media.frames import to_tensor
from lumos.media.reading import read_clip
from lumos.media.writing import write_video
from lumos.tokenizer.export import export_pair
from lumos.tokenizer.network import CausalVideoTokenizer, NetworkConfig
from lumos.tokenizer.text import TextTokenizer
from lumos.tokenizer.visual import VisualTokenizer
from pre_tokenize.bookkeeping.ledger import Ledger
from pre_tokenize.bookkeeping.work import fill
from pre_tokenize.engines.engine import Job, LocalEngine, Making
from pre_tokenize.engines.pace import Pace
from pre_tokenize.lists.table import Table, read_table
from pre_tokenize.products.codes import Codes, Target
from pre_tokenize.products.encode import Limits, on_device
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser


class Work:
    """Video files with captions, and a tokenizer."""

    def __init__(
        self,
        folder: Path,
        *,
        tokenizer: str,
        num_clips: int,
        size: int,
        source: int,
        limits: Limits,
        full_size: bool = False,
    ) -> None:
        self.folder, self.limits = folder, limits
        self.target = Target(modality="video", size=size, fps=6, duration=2)
        self.table = write_clips(folder / "clips", num_clips=num_clips, source=source)
        files = resolve(tokenizer)
        self.text = TextTokenizer.from_file(files.text_tokenizer)
        visual = released_size(folder / "network") if full_size else files.visual_tokenizer
        self.visual = VisualTokenizer.from_pretrained(visual, device=limits.device)
        self.paces: dict[str, list[dict[str, float]]] = {"literal": [], "fast": []}
        self._pixels = [self._read(row) for row in range(num_clips)]

    def literal(self) -> list[np.ndarray]:
        """Return the codes, made one clip at a time."""
        pace, codes = Pace(), []
        for row in range(len(self.table.items)):
            video = to_tensor(self._read(row))[None].to(self.limits.device)
            with pace.network(1):
                codes.append(self.visual.encode(video).cpu().numpy()[0])
        self.paces["literal"].append(pace.report())
        return codes

    def fast(self) -> None:
        """Write the shards as `pre_tokenize` does."""
        output = self.folder / "output"
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()
        codes = Codes(self.target, text=self.text, visual=self.visual, device=self.limits.device)
        job = Job(load=lambda limits: codes, reader=lambda: codes, write_shard=write_shard, form=CLIPS, settings={})
        ledger = Ledger(output, range(len(self.table.items)))
        making = Making(table=self.table, job=job, limits=self.limits)
        with LocalEngine().ready(making) as make:
            self.paces["fast"].append(fill(ledger, making, make, on_rows=lambda _: None).report())

    def network(self) -> None:
        """Run the network alone, in our batches."""
        size = self.limits.batch_size
        for start in range(0, len(self._pixels), size):
            self.visual.encode(on_device(self._pixels[start : start + size], device=self.limits.device)).cpu()

    def _read(self, row: int) -> np.ndarray:
        path = self.table.locate(self.table.items[row])
        return read_clip(path, fps=self.target.fps, duration=self.target.duration, size=self.target.size)


def write_clips(folder: Path, *, num_clips: int, source: int) -> Table:
    """Return the table of clips of moving noise, `source` px square, 24 fps, 2 s, written as H.264."""
    folder.mkdir()
    random = np.random.default_rng(0)
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "text"])
        for number in range(num_clips):
            coarse = random.integers(0, 256, (source // 16, source // 16, 3), dtype=np.uint8)
            picture = coarse.repeat(16, axis=0).repeat(16, axis=1)
            frames = np.stack([np.roll(picture, 2 * index, axis=1) for index in range(49)])
            write_video(folder / f"{number}.mp4", frames, fps=24)
            rows.writerow([f"{number}.mp4", "a pattern that moves to the right"])
    return read_table(folder / "clips.csv")


def released_size(folder: Path) -> Path:
    """Return the folder of a tokenizer as large as the released one, untrained, with the bundled one's codes."""
    torch.manual_seed(0)
    export_pair(CausalVideoTokenizer(NetworkConfig(levels=(8, 8, 5, 5, 5))), folder)
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return status_of("benchmarks.lumos1.tokenizer", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(args: argparse.Namespace) -> int:
    """Measure, print and write."""
    limits = Limits(batch_size=args.batch_size, num_workers=args.num_workers, device=args.device)
    sizes = {"num_clips": args.clips, "size": args.size, "source": args.source}
    with tempfile.TemporaryDirectory() as folder:
        work = Work(Path(folder), tokenizer=args.tokenizer, full_size=args.full_size, limits=limits, **sizes)
        paths = {"literal": work.literal, "fast": work.fast, "network alone": work.network}
        comparison = compare(paths, rounds=args.rounds, device=args.device)
    title = f"{args.clips} clips, {args.source} px to {args.size} px, batches of {args.batch_size}"
    notes = {**pace_notes(comparison, work.paces, num_clips=args.clips), "torch threads": torch.get_num_threads()}
    write_report(args.out, title="Pre-tokenisation", comparisons={title: comparison}, rates={}, notes=notes)
    return 0


def pace_notes(comparison: Comparison, paces: dict[str, list[dict[str, float]]], *, num_clips: int) -> dict[str, Any]:
    """Return clips per second of each path, and the network's share of the time of those that have one."""
    notes: dict[str, Any] = {}
    for name, timing in comparison.timings.items():
        notes[f"clips/s, {name}"] = round(num_clips / timing.median_s, 3)
    for name, rounds in paces.items():
        notes[f"share of the network, {name}"] = float(np.median([pace["network_share"] for pace in rounds[1:]]))
    return notes


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="python -m benchmarks.lumos1.tokenizer", description=__doc__)
    parser.add_argument("--tokenizer", default="lumos-tiny", help="a model's name or folder")
    parser.add_argument("--full_size", action="store_true", help="a network as large as the released one, untrained")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--size", type=int, default=64, help="target size in pixels")
    parser.add_argument("--source", type=int, default=128, help="side of the source in pixels")
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--num_workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=output_file, help="json file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
