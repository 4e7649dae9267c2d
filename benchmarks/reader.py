"""What a rank's reader of a very large set takes: seconds to start, seconds of a batch, and the memory it holds.

    python -m benchmarks.reader --clips 10000000 --shards 10000 --model lumos1

One shard is written, and linked under the names of all the others, so that the set is as large as it says and can be
read, and is made in seconds; a process of its own makes it. Measured is what a training does with it: the set opened,
its stream and its order made, batches of one rank of many read; memory beyond what was held before (imports).
"""

import argparse
import gc
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.data.latents import LatentClip, VAEIdentity
from lumos.lumina_video.data.shards import LATENTS, write_latent_shard
from lumos.lumina_video.training.items.latent_stream import LatentStream
from lumos.lumina_video.training.task_config import ScaleTask
from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.data.shards import CLIPS, write_shard
from lumos.lumos1.sequence import Clip
from lumos.lumos1.training.items.clip_stream import ClipStream
from lumos.lumos1.training.items.length_limit import LengthLimit
from lumos.media.shards.known_shards import KnownShards
from lumos.media.shards.parquet_rows import INDEX_NAME, looked_up, write_known_index
from lumos.tokenizer.vocab import Vocab
from xllmx.data.broken import Replacing
from xllmx.data.kinds import Kinds
from xllmx.data.loader import build_loader
from xllmx.data.order import BatchOrder
from xllmx.data.streams import Shuffle, Streams
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.settings.number_range import COUNT, check_number
from xllmx.store.address import Location

MODELS = ("lumos1", "lumina_video")
RANKS, BATCH = 48, 6
"""Processes of the training of which one is measured, and samples of its batch, as of the joint recipe."""
_SIZES = ((4, 6), (6, 4), (4, 4), (6, 6))
_VAE = VAEIdentity(channels=4, scale=1.0, spatial=8, temporal=4)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a set, open it as a training does, read batches, and print what that took."""
    parser = OptionParser(prog="python -m benchmarks.reader", description=__doc__)
    parser.add_argument("--clips", type=int, default=10_000_000, help="clips of the set (10000000)")
    parser.add_argument("--shards", type=int, default=10_000, help="files they are in (10000)")
    parser.add_argument("--model", choices=MODELS, default=MODELS[0], help="whose clips (lumos1)")
    parser.add_argument("--shuffle", choices=get_args(Shuffle), default="auto", help="trainer.shuffle (auto)")
    parser.add_argument("--batches", type=int, default=100, help="batches that are read (100)")

    def run() -> int:
        options = parser.parse_args(arguments)
        for name in ("clips", "shards", "batches"):
            check_number(f"--{name}", int, getattr(options, name), COUNT)
        if options.clips % options.shards:
            raise ValueError(f"--clips {options.clips} is no multiple of --shards {options.shards}; change one")
        with tempfile.TemporaryDirectory(prefix="reader-") as folder:
            began = time.perf_counter()
            with get_context("spawn").Pool(1) as maker:
                maker.apply(make_set, (Path(folder), options.model, options.clips, options.shards))
            print(f"{options.clips:,} clips in {options.shards:,} shards, made in {time.perf_counter() - began:.1f} s")
            for line in measured(Path(folder), options):
                print(line)
        return 0

    return status_of("benchmarks.reader", run, words=arguments)


def make_set(folder: Path, model: str, num_clips: int, num_shards: int) -> None:
    """Write one shard of clips of many lengths, its links, and the index of all."""
    first, number = folder / "shard-00000.parquet", num_clips // num_shards
    random, form = np.random.default_rng(0), CLIPS if model == "lumos1" else LATENTS
    if model == "lumos1":
        write_shard(first, [_codes(random) for _ in range(number)])
    else:
        write_latent_shard(first, [_latents(random) for _ in range(number)], vae=_VAE)
    files: list[Location] = [folder / f"shard-{shard:05d}.parquet" for shard in range(num_shards)]
    for file in files[1:]:
        os.link(first, file)  # type: ignore[arg-type]
    one = looked_up([first], form=form)
    known = KnownShards(
        files=files,
        counts=np.full(num_shards, number),
        shapes=Kinds(one.shapes.values, np.tile(one.shapes.which, num_shards)),
        decoded=one.decoded * num_shards,
    )
    more = {} if model == "lumos1" else {"vae": asdict(_VAE)}
    write_known_index(folder / INDEX_NAME, known, form=form, more=more)


def measured(folder: Path, options: argparse.Namespace) -> list[str]:
    """Return what opening and reading took, for people."""
    held, before = _held_mib(), _held_mib("VmRSS")
    began, cpu = time.perf_counter(), time.process_time()
    stream = _stream(folder, options.model)
    order = _order(stream, options.shuffle)
    batches = iter(build_loader(Replacing(stream, stream="video"), order, collate=len))
    number = order.global_batches_per_epoch
    first = order.batch(0)
    started, cpu = time.perf_counter() - began, time.process_time() - cpu
    opened = _held_mib() - held
    assert sum(next(batches) for _ in range(options.batches)) == BATCH * options.batches
    read_s = (time.perf_counter() - began - started) / options.batches
    reading = _held_mib() - held
    starts, samples = stream.shard_starts, [s for number in range(options.batches) for s in order.batch(number)]
    files = len(np.unique(np.searchsorted(starts, samples, side="right")))
    turned = time.perf_counter()
    assert first != order.batch(number)
    turned = time.perf_counter() - turned
    return [
        f"started       {started:.1f} s ({cpu:.1f} s of CPU) until the first of {number:,} batches is known",
        f"holds         {opened:.0f} MiB then, {reading:.0f} MiB after {options.batches} batches; "
        f"{_peak_mib() - before:.0f} MiB at most, with mapped files; beyond the {before:.0f} MiB before",
        f"reads         {read_s * 1e3:.0f} ms a batch; {files:,} shards opened in {options.batches} batches",
        f"next epoch    {turned:.1f} s",
    ]


def _stream(folder: Path, model: str) -> Any:
    if model == "lumos1":
        clips, limit = ClipDataset(folder), LengthLimit(max_length=10_000)
        return ClipStream(clips, modes=("text_to_video",), cfg_drop=0.1, limit=limit, vocab=Vocab())
    task = ScaleTask(data=str(folder), patch_size=2, f_patch_size=1)
    return LatentStream("video", LatentSet(folder), task, model=LuminaVideoConfig(in_channels=_VAE.channels))


def _order(stream: Any, shuffle: Shuffle) -> BatchOrder:
    order = Streams({"video": stream}, batch_size={"video": BATCH}, shuffle=shuffle).orders["video"]
    order.num_ranks, order.rank = RANKS, RANKS // 2
    return order


def _codes(random: np.random.Generator) -> Clip:
    grid = (int(random.choice([1, 4, 7])), *_SIZES[random.integers(len(_SIZES))])
    prompt = random.integers(20, 300)
    return Clip(
        prompt_ids=np.full(prompt, Vocab().bos, dtype=np.int32),
        caption="a clip",
        codes=random.integers(0, 1000, size=grid).astype(np.uint16),
        fps=12,
        duration=2,
        source="clip.mp4",
    )


def _latents(random: np.random.Generator) -> LatentClip:
    grid = (int(random.choice([4, 6, 8])), *_SIZES[random.integers(len(_SIZES))])
    latent = torch.ones(_VAE.channels, *grid, dtype=torch.bfloat16)
    return LatentClip(caption="a clip", latent=latent, lead=0, motion=1.0, fps=8.0, seconds=2.0, source="clip.mp4")


def _held_mib(name: str = "RssAnon") -> float:
    """Return the resident memory of this process: what no file backs, or by another name of Linux."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) / 1024


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
