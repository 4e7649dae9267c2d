"""Which share of the rows a process has where its command line does not say: what Slurm says, or else all.

    sbatch --array=1-64     task 3 of 64:  --task_id 3 --all_tasks 64    (SLURM_ARRAY_TASK_ID, _COUNT)
    srun --ntasks 8         process 5 of 8:  --rank 5 --splits 8         (SLURM_PROCID, SLURM_NTASKS)

What is typed wins. `--all_tasks 1` and `--splits 1` say that nothing is shared, whatever Slurm says.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from xllmx.ranks.slurm import SlurmStep, slurm_array, slurm_step

Found = tuple[int, int | None] | None
"""An index as its option counts, and a number, None where only that is not known; None where Slurm says nothing."""

_ARRAY = "SLURM_ARRAY_TASK_ID"
_STEP = "SLURM_PROCID"


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """Two options that say one thing: which of how many."""

    index: str
    count: str
    first: int
    """What the index counts from."""
    said_by: str
    """The variables of Slurm that say it."""


_TASK = _Pair(index="task_id", count="all_tasks", first=1, said_by=_ARRAY)
_RANK = _Pair(index="rank", count="splits", first=0, said_by=_STEP)
_RANK_OF_ALL = _Pair(index="rank", count="splits", first=0, said_by=f"{_ARRAY}, {_STEP}")


def complete_share(options: argparse.Namespace, environment: Mapping[str, str], *, program: str) -> None:
    """Fill in which share of the rows is this process's, where it was not typed; say what Slurm said.

    Options without `all_tasks` have one pair for both: the jobs of an array times the processes of each.

    Raises:
        ValueError: variables of Slurm that are needed contradict each other, or do not say how many share the rows.
    """

    def of_array() -> Found:
        array = slurm_array(environment)
        return None if array is None else (array.index, array.count)

    def of_step() -> Found:
        step = slurm_step(environment)
        return None if step is None else (step.rank, step.num_ranks)

    def of_both() -> Found:
        array, step = slurm_array(environment), slurm_step(environment)
        if array is None:
            return of_step()
        each = step or SlurmStep(rank=0, num_ranks=1, local_rank=0)
        count = None if array.count is None else array.count * each.num_ranks
        return (array.index - 1) * each.num_ranks + each.rank, count

    if hasattr(options, "all_tasks"):
        said = [_complete(options, _TASK, of_array), _complete(options, _RANK, of_step)]
    else:
        said = [_complete(options, _RANK_OF_ALL, of_both)]
    is_first = options.rank == 0 or len(said) == 1
    if is_first and environment.get(_STEP, "0") == "0":
        for line in filter(None, said):
            print(f"{program}: {line}", flush=True)


def own_gpu(environment: Mapping[str, str], num_gpus: int) -> str | None:
    """The GPU of a process of several that srun started on one machine, which shows all of them to each; else None."""
    step = slurm_step(environment)
    return None if step is None or num_gpus < 2 else f"cuda:{step.local_rank % num_gpus}"


def _complete(options: argparse.Namespace, pair: _Pair, found: Callable[[], Found]) -> str:
    """Fill in one pair; return what is to be said of it, which may be nothing."""
    index, count = getattr(options, pair.index), getattr(options, pair.count)
    if index is not None and count is not None:
        return _overruled(pair, (index, count), found)
    here = None if count == 1 else found()
    if here is None:
        setattr(options, pair.index, pair.first if index is None else index)
        setattr(options, pair.count, 1 if count is None else count)
        return ""
    if count is None and here[1] is None:
        raise ValueError(
            f"{_ARRAY} is of an array that leaves numbers out, so nothing says how many share the rows; "
            f"give --{pair.count}"
        )
    typed = {pair.index: index, pair.count: count}
    for name, value in ((pair.index, here[0]), (pair.count, here[1])):
        if typed[name] is None:
            setattr(options, name, value)
    words = " ".join(f"--{name} {getattr(options, name)}" for name in typed if typed[name] is None)
    rest = "".join(f"; --{name} {value} was typed" for name, value in typed.items() if value is not None)
    return f"{words}, as Slurm says ({pair.said_by}){rest}"


def _overruled(pair: _Pair, typed: tuple[int, int], found: Callable[[], Found]) -> str:
    """What is said where both were typed, and Slurm says something else."""
    try:
        here = found()
    except ValueError:  # it need not be understood
        return ""
    if here is None or (here[0] == typed[0] and here[1] in (typed[1], None)) or typed[1] == 1:
        return ""
    number = "" if here[1] is None else f" of {here[1]}"
    words = f"--{pair.index} {typed[0]} --{pair.count} {typed[1]}"
    return f"note: {words} was typed, and wins over what Slurm says ({pair.said_by}: {here[0]}{number})"
