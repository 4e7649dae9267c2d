"""The samples of a benchmark, their seeds, and which worker makes which."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SEED_BYTES = 6
"""Seeds below 2^48: exact in every reader of json."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One image or video to make."""

    name: str
    """Its file, as its record has it under OUT_records: `00012/00003.png`, `PROMPT-3.mp4`."""
    prompt: str
    """The official prompt."""
    index: int
    """Among the samples of its prompt, from 0."""
    text: str
    """What the model sees: the rewritten prompt, or the official one."""
    image: Path | None = None
    """First frame, for image-to-video."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One process among those that make a folder together."""

    index: int = 0
    """From 0 to `count` - 1."""
    count: int = 1
    local_rank: int = 0
    """Among the processes of this machine."""


def seed_of(base: int, prompt: str, index: int) -> int:
    """The seed of a sample: a hash of (base seed, official prompt, index), from 0 to 2^48 - 1."""
    digest = hashlib.sha256(f"{base}\n{index}\n{prompt}".encode()).digest()
    return int.from_bytes(digest[:_SEED_BYTES], "big")


def batches_of(samples: Sequence[Sample], size: int) -> list[list[Sample]]:
    """The samples in batches of `size`, cut from the beginning of the whole list; ValueError if `size` is below 1."""
    if size < 1:
        raise ValueError(f"batch_size is {size}; it must be at least 1")
    return [list(samples[start : start + size]) for start in range(0, len(samples), size)]


def share_of(batches: Sequence[list[Sample]], worker: Worker) -> list[list[Sample]]:
    """The batches that a worker makes: every `count`-th.

    >>> share_of([["a"], ["b"], ["c"]], Worker(index=1, count=2))
    [['b']]
    """
    return list(batches[worker.index :: worker.count])


def parse_part(text: str) -> tuple[int, int]:
    """The part i and the number of parts n of `[i,n]`, 1 <= i <= n; ValueError for anything else."""
    found = re.fullmatch(r"\[\s*([0-9]+)\s*,\s*([0-9]+)\s*\]", text)
    part, parts = (int(number) for number in found.groups()) if found else (0, 0)
    if not 1 <= part <= parts:
        raise ValueError(f'--part is {text!r}; it must be [i,n] with 1 <= i <= n, for example "[1,4]"')
    return part, parts


def worker_of(part: tuple[int, int], environment: Mapping[str, str]) -> Worker:
    """This process among all: part i of n is split among the processes that torchrun (RANK, WORLD_SIZE) started.

    Machine i may have another number of processes than the others: batches i - 1, i - 1 + n, ... are its own anyway.
    """
    rank, world = int(environment.get("RANK", "0")), int(environment.get("WORLD_SIZE", "1"))
    local_rank = int(environment.get("LOCAL_RANK", "0"))
    return Worker(index=(part[0] - 1) + part[1] * rank, count=part[1] * world, local_rank=local_rank)
