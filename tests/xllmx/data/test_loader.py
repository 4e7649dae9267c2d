"""Streams take turns, and a loader started at a step yields what one that ran there would."""

import gc
import os
from pathlib import Path

import pytest
import torch

from xllmx.data.cycle import StreamCycle
from xllmx.data.loader import CyclicLoader, build_loader
from xllmx.data.order import BatchOrder


class Numbers:
    def __init__(self, size: int, offset: int = 0) -> None:
        self.lengths = [10 + index for index in range(size)]
        self.offset = offset

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> int:
        return self.offset + index


TURNS = StreamCycle.in_turns({"image": 1, "video": 2})


def loader_at(step: int, *, num_workers: int = 0, cycle: StreamCycle | None = None) -> CyclicLoader:
    loaders = {
        name: build_loader(
            data,
            BatchOrder(lengths=data.lengths, batch_size=size, accumulation=2),
            collate=torch.tensor,
            num_workers=num_workers,
        )
        for name, data, size in (("image", Numbers(13), 3), ("video", Numbers(7, 100), 1))
    }
    return CyclicLoader(loaders, cycle or TURNS, step=step)


def drawn(loader: CyclicLoader, steps: int) -> list[tuple[str, list[list[int]]]]:
    return [(name, [batch.tolist() for batch in batches]) for _ in range(steps) for name, batches in next(loader)]


def test_a_step_draws_from_all_streams_that_go_together() -> None:
    cycle = StreamCycle.together({"image": 1, "video": 2})
    first, second = next(loader := loader_at(0, cycle=cycle)), next(loader)
    assert [name for name, _ in first] == ["image", "video"]
    assert [name for name, _ in second] == ["video"]
    assert drawn(loader_at(3, cycle=cycle), 4) == drawn(loader_at(0, cycle=cycle), 7)[5:]


def test_each_stream_has_its_own_batches() -> None:
    for name, batches in drawn(loader_at(0), 6):
        assert len(batches) == 2
        assert all(len(batch) == (3 if name == "image" else 1) for batch in batches)
        assert all((number >= 100) == (name == "video") for batch in batches for number in batch)


@pytest.mark.parametrize("step", [1, 2, 5, 11])
def test_a_loader_started_at_a_step_goes_on_as_one_that_ran_there(step: int) -> None:
    assert drawn(loader_at(step), 14 - step) == drawn(loader_at(0), 14)[step:]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_workers_change_nothing() -> None:
    assert drawn(loader_at(4, num_workers=2), 5) == drawn(loader_at(4), 5)


class Watched:
    """An object in a cycle that says in which process it was freed, as a video that is read has threads to join."""

    def __init__(self, log: Path) -> None:
        self._log, self._itself = log, self

    def __del__(self) -> None:
        with self._log.open("a") as log:
            log.write(f"{os.getpid()}\n")


class Collecting(Numbers):
    """Numbers, before each of which all garbage of this process is freed."""

    def __getitem__(self, index: int) -> int:
        gc.collect()
        return index


def test_workers_free_nothing_that_they_inherit(tmp_path: Path) -> None:
    """A decoder that is garbage when they are forked has threads in the parent alone: joining them would never end."""
    log = tmp_path / "freed.txt"
    gc.disable()
    try:
        Watched(log)
        loader = build_loader(Collecting(8), BatchOrder(lengths=[1] * 8, batch_size=2), collate=list, num_workers=1)
        batches = CyclicLoader({"a": loader}, StreamCycle.in_turns({"a": 1}), step=0)
        for _ in range(3):
            next(batches)
    finally:
        gc.enable()
    assert log.read_text().split() == [str(os.getpid())]
