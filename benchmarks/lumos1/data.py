"""`python -m benchmarks.lumos1.data --work 1b-class`: what a training step waits for its batch.

A set of clips is written and read by the loader of training, shuffled; masks are drawn as in training. The step itself
is stood in for by a sleep of `--step_s`, as where a GPU works while the CPU is free. The literal way reads each clip
from a pickle of token lists, as the release stores them, and makes the dense mask.
"""

import argparse
import pickle
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.lumos1.training import fields_of, sample_of
from benchmarks.lumos1.work import WORKS, Work
from benchmarks.measure import compare
from benchmarks.report import output_file, write_report
from lumos.lumos1.data.clips import read_released
from lumos.lumos1.data.writing import ClipWriter
from lumos.lumos1.model.attention import frame_causal_mask
from lumos.lumos1.sequence import sequence_of
from lumos.lumos1.training.items.samples import Sample
from lumos.lumos1.training.task import LumosTask, LumosTaskConfig
from xllmx.data.streams import Streams
from xllmx.rng import generator_for
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser


class Data:
    """Clips on disk, as shards and as pickles."""

    def __init__(self, work: Work, folder: Path, *, num_clips: int, batch_size: int) -> None:
        self.batch_size = batch_size
        clip = sample_of(work, work.num_latent_frames).clip
        with ClipWriter(folder / "clips") as writer:
            for _ in range(num_clips):
                writer.add(clip)
        self.task = LumosTask(LumosTaskConfig(model=fields_of(work), data={"video": str(folder / "clips")}))
        prompt, codes = torch.from_numpy(clip.prompt_ids), torch.from_numpy(clip.codes.astype("int64"))
        ids = sequence_of(prompt, codes, vocab=self.task.vocab, fps=clip.fps, duration=clip.duration).tolist()
        self._pickle = folder / "clip.pkl"
        self._pickle.write_bytes(pickle.dumps({"token": ids, "label": ids, "id": 0}))

    def literal(self) -> None:
        """Make one batch from pickles, padded, with dense masks."""
        batch = [
            Sample(clip=read_released(self._pickle, self.task.vocab), modes=("text_to_video",), cfg_drop=0.1)
            for _ in range(self.batch_size)
        ]
        frame_causal_mask(self.task.prepare(batch, generator_for(0)).inputs["blocks"])

    def fast(self) -> Callable[[], None]:
        """Return a call that makes the next batch in this process: read, masked, padded."""
        batches = self._loader(num_workers=0)

        def step() -> None:
            ((_, (batch,)),) = next(batches)
            self.task.prepare(batch, generator_for(0))

        return step

    def waits(self, *, steps: int, step_s: float, num_workers: int) -> dict[str, float]:
        """Return milliseconds a step waits for the loader and for the masks, and their share of its time."""
        batches = self._loader(num_workers=num_workers)
        loading, preparing = [], []
        for number in range(steps + 3):
            start = time.perf_counter()
            ((_, (batch,)),) = next(batches)
            loaded = time.perf_counter()
            self.task.prepare(batch, generator_for(0, number))
            if number >= 3:  # workers start
                loading.append(loaded - start)
                preparing.append(time.perf_counter() - loaded)
            time.sleep(step_s)
        load_s, prepare_s = statistics.fmean(loading), statistics.fmean(preparing)
        whole = step_s + load_s + prepare_s
        return {
            "loader_ms": round(1e3 * load_s, 2),
            "masks_ms": round(1e3 * prepare_s, 2),
            "loader_share": round(load_s / whole, 4),
            "masks_share": round(prepare_s / whole, 4),
        }

    def _loader(self, *, num_workers: int) -> Any:
        streams = Streams(self.task.build_dataset("train"), batch_size={"video": self.batch_size})
        return streams.loader(step=0, collate=self.task.collate, num_workers=num_workers)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return status_of("benchmarks.lumos1.data", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(args: argparse.Namespace) -> int:
    """Measure, print and write."""
    with tempfile.TemporaryDirectory() as folder:
        data = Data(WORKS[args.work], Path(folder), num_clips=args.clips, batch_size=args.batch_size)
        comparison = compare({"literal": data.literal, "fast": data.fast()}, rounds=args.rounds)
        notes: dict[str, Any] = {"step_s": args.step_s}
        for workers in args.num_workers:
            waits = data.waits(steps=args.steps, step_s=args.step_s, num_workers=workers)
            notes[f"waits with {workers} workers"] = waits
    title = f"batches of {args.batch_size} clips of {args.work}"
    write_report(args.out, title="Data", comparisons={title: comparison}, rates={}, notes=notes)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="python -m benchmarks.lumos1.data", description=__doc__)
    parser.add_argument("--work", choices=WORKS, default="tiny", help="size (benchmarks.lumos1.work)")
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--step_s", type=float, default=0.163, help="of a step; default: 1B at best on an H200")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--num_workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=output_file, help="json file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
