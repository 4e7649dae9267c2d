"""Which of many processes makes which outputs of a list: a function of the list and of the process's place alone.

Nothing is locked or asked: machine i of n has its part, and torchrun's processes share that part.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from xllmx.setting import SettingError

T = TypeVar("T")

_PART = re.compile(r"(\[)?\s*([0-9]+)\s*[,/]\s*([0-9]+)\s*(?(1)\])")


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One process among those that make a list together."""

    index: int = 0
    """From 0 to `count` - 1."""
    count: int = 1
    local_rank: int = 0
    """Among the processes of this machine."""


ALONE = Worker()
"""The only process."""


def part_of(text: str, *, option: str = "part") -> tuple[int, int]:
    """The part i and the number of parts n that a `--part` names, 1 <= i <= n; ValueError for anything else.

    >>> [part_of(text) for text in ("[1,4]", "[1, 4]", "1,4", "1/4")]
    [(1, 4), (1, 4), (1, 4), (1, 4)]
    """
    found = _PART.fullmatch(text.strip())
    part, parts = (int(found[2]), int(found[3])) if found else (0, 0)
    if not 1 <= part <= parts:
        raise SettingError(option, f'is {text!r}; it must be i,n (or i/n, "[i,n]") with 1 <= i <= n, for example 1,4')
    return part, parts


def worker_of(part: tuple[int, int], environment: Mapping[str, str]) -> Worker:
    """This process among all: part i of n is split among the processes that torchrun (RANK, WORLD_SIZE) started.

    Machine i may have another number of processes than the others: batches i - 1, i - 1 + n, ... are its own anyway.
    """
    rank, world = int(environment.get("RANK", "0")), int(environment.get("WORLD_SIZE", "1"))
    local_rank = int(environment.get("LOCAL_RANK", "0"))
    return Worker(index=(part[0] - 1) + part[1] * rank, count=part[1] * world, local_rank=local_rank)


def batches_of(items: Sequence[T], size: int) -> list[list[T]]:
    """The items in batches of `size`, cut from the beginning of the whole list; ValueError if `size` is below 1."""
    if size < 1:
        raise SettingError("batch_size", f"is {size}; it must be at least 1")
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def share_of(batches: Sequence[list[T]], worker: Worker) -> list[list[T]]:
    """The batches that a worker makes: every `count`-th.

    >>> share_of([["a"], ["b"], ["c"]], Worker(index=1, count=2))
    [['b']]
    """
    return list(batches[worker.index :: worker.count])
