"""A small Ray on this machine for the tests of a module, and what its actors make there."""

import gc
import os
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pre_tokenize.products.encode import Limits
from pre_tokenize.products.motion_scores import Score
from pre_tokenize.products.pixels import Pixels
from xllmx.ranks.ray_cluster import imported_ray, start_here
from xllmx.settings.setting import SettingError

DEADLY = {"decoder": "kills decoders", "encoder": "kills encoders"}
"""Contents of files that kill whoever takes them."""

WRONG = "what no network takes"


@contextmanager
def ray_here() -> Iterator[Any]:
    """Ray with two CPUs, to which programs in this process connect."""
    ray = imported_ray()
    if ray.is_initialized():
        yield ray
        return
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  else actors give way to everything, and the tests wait
    start_here(ray, num_cpus=2, num_gpus=0, object_store_memory=128 * 2**20)
    try:
        yield ray
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # Ray waits for none of its processes
            ray.shutdown()
            gc.collect()


def kill_all(kind: str) -> int:
    """How many actors of a class this process's own Ray had at work; their processes are killed."""
    found = _processes(kind)
    for process in found:
        os.kill(process, signal.SIGKILL)
    return len(found)


def die() -> None:
    """End the process of an actor as a crash does."""
    os._exit(3)


def _processes(kind: str) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if place.joinpath("cmdline").read_bytes().startswith(f"ray::{kind}".encode()) and _is_ours(place):
                found.append(int(place.name))
        except OSError:  # it has ended
            continue
    return found


def _is_ours(place: Path) -> bool:
    """Whether a process of Ray descends from this one: its raylet is our child."""
    raylet = _parent(place)
    return _parent(raylet) == Path("/proc") / str(os.getpid())


def _parent(place: Path) -> Path:
    return place.parent / place.joinpath("stat").read_text().rpartition(")")[2].split()[1]


class Sizes:
    """A product in moments: of each text its number of characters. It needs no network, and some texts kill."""

    captioned = False
    decode = None

    def read(self, path: Path) -> Pixels:
        text = path.read_text()
        if text == DEADLY["decoder"]:
            die()
        mark = {DEADLY["encoder"]: 1, WRONG: 2}.get(text, 0)
        return Pixels(frames=np.full((1, 1, 1, 3), mark, dtype=np.uint8), seconds=float(len(text)))

    def network(self, batch: Sequence[Pixels]) -> Tensor:
        marks = {int(pixels.frames.max()) for pixels in batch}
        if 2 in marks:
            raise SettingError("size", "is wrong")
        if 1 in marks:
            die()
        return torch.tensor([pixels.seconds for pixels in batch])

    def made(self, batch: Sequence[tuple[Any, Pixels]], outputs: Tensor) -> Mapping[int, Any]:
        return {
            item.row: Score(row=item.row, motion=size) for (item, _), size in zip(batch, outputs.tolist(), strict=True)
        }


def load_sizes(limits: Limits) -> Sizes:
    return Sizes()
