"""Which of many processes makes which outputs of a list: a function of the list and of the process's place alone.

Nothing is locked or asked: machine i of n has its part, and the processes of torchrun or srun share that part. A part
that is not named is that of the job in Slurm's array, or the whole.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from xllmx.ranks.slurm import SlurmStep, slurm_array, slurm_step
from xllmx.settings.setting import SettingError

T = TypeVar("T")

_PART = re.compile(r"(\[)?\s*([0-9]+)\s*[,/]\s*([0-9]+)\s*(?(1)\])")
_TORCHRUN = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))


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


def part_here(text: str | None, environment: Mapping[str, str]) -> tuple[int, int]:
    """The part that a `--part` names, or, where it is None, that of this job in Slurm's array, or the whole.

    Raises:
        ValueError: `text` is no part, or the array does not say how many parts there are.
    """
    if text is not None:
        return part_of(text)
    array = slurm_array(environment)
    if array is None:
        return 1, 1
    if array.count is None:
        said = "is not given, and Slurm's array leaves numbers out, so nothing says how many parts there are"
        raise SettingError("part", f"{said}; give it, for example {array.index},64")
    return array.index, array.count


def remark_on_part(text: str | None, environment: Mapping[str, str]) -> str:
    """What a person should know of how `part_here` came to its answer; "" where Slurm has no array."""
    try:
        array = slurm_array(environment)
    except ValueError:
        if text is None:
            raise
        return ""
    part = part_here(text, environment)
    if array is None or part == (1, 1):
        return ""
    words, variable = f"--part {part[0]},{part[1]}", f"SLURM_ARRAY_TASK_ID: {array.index}"
    if text is None:
        return f"{words}, as Slurm says ({variable})"
    differs = part[0] != array.index or array.count not in (None, part[1])
    return f"note: {words} was typed, and wins over what Slurm says ({variable})" if differs else ""


def worker_of(part: tuple[int, int], environment: Mapping[str, str]) -> Worker:
    """This process among all: part i of n is split among the processes that a launcher started.

    That is torchrun (RANK, WORLD_SIZE), or else srun (`xllmx.ranks.slurm`). Machine i may have another number of
    processes than the others: batches i - 1, i - 1 + n, ... are its own anyway.
    """
    here = _launched(environment)
    return Worker(index=(part[0] - 1) + part[1] * here.rank, count=part[1] * here.num_ranks, local_rank=here.local_rank)


def local_rank_of(environment: Mapping[str, str]) -> int:
    """This process's number among those that a launcher started on this machine."""
    return _launched(environment).local_rank


def _launched(environment: Mapping[str, str]) -> SlurmStep:
    step = None if "WORLD_SIZE" in environment else slurm_step(environment)
    if step is not None:
        return step
    rank, world, local = (int(environment.get(name, default)) for name, default in _TORCHRUN)
    return SlurmStep(rank=rank, num_ranks=world, local_rank=local)


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
