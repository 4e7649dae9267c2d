"""Slurm's own launcher: what `srun` says of a process, where no other launcher (torchrun) has said it; and arrays.

What Slurm sets in a batch script names one task of many too (SLURM_PROCID=0, SLURM_NTASKS=8), though no other was
started: only what srun started, which has SLURM_STEP_ID, is one of several.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

_FIRST_PORT = 15000
"""Ports from here on, one for each of the last four digits of a job's number, so that jobs of one machine differ."""
_UNSET_ARRAY = "start it with sbatch --array=1-N, or unset them"


@dataclass(frozen=True, kw_only=True)
class SlurmStep:
    """This process among those that srun started."""

    rank: int
    """Its number among all (SLURM_PROCID)."""
    num_ranks: int
    """Of all (SLURM_NTASKS)."""
    local_rank: int
    """Its number on its machine (SLURM_LOCALID)."""


@dataclass(frozen=True, kw_only=True)
class SlurmTask(SlurmStep):
    """The same, of processes that talk to each other."""

    meeting: str
    """Where they meet: tcp://MACHINE:PORT, the first machine of the job, or MASTER_ADDR and MASTER_PORT."""


@dataclass(frozen=True, kw_only=True)
class SlurmArray:
    """This job among those of its array."""

    index: int
    """Its number, from 1; an array that begins at 0 counts from 0."""
    count: int | None
    """Of all; None where the array leaves numbers out, as `--array=3,7` does, and does not say how many there are."""


@dataclass(frozen=True, kw_only=True)
class SlurmJob:
    """The job that this process belongs to; one that is queued again keeps its number."""

    number: str
    """Of the job on its cluster, `alps 4711`; each job of an array has its own."""
    restarts: int
    """How often Slurm has queued it again: what it started before that has ended."""


def slurm_job(environment: Mapping[str, str]) -> SlurmJob | None:
    """Return the job that this process belongs to; None where it is no job's, or its numbers are none."""
    job, restarts = environment.get("SLURM_JOB_ID", ""), environment.get("SLURM_RESTART_COUNT") or "0"
    if not re.fullmatch(r"\d{1,12}", job) or not re.fullmatch(r"\d{1,9}", restarts):
        return None
    cluster = environment.get("SLURM_CLUSTER_NAME", "")
    return SlurmJob(number=f"{cluster} {job}".strip(), restarts=int(restarts))


def slurm_step(environment: Mapping[str, str]) -> SlurmStep | None:
    """Return this process's place among those that srun started; None where it is one of one, or none of srun's.

    Raises:
        ValueError: a variable is no number of a task, or two contradict each other.
    """
    if "SLURM_PROCID" not in environment or "SLURM_STEP_ID" not in environment:
        return None
    num_ranks = _number(environment, "SLURM_NTASKS", default=1)
    if num_ranks < 2:
        return None
    rank = _number(environment, "SLURM_PROCID")
    if rank >= num_ranks:
        raise ValueError(f"SLURM_PROCID is {rank} of SLURM_NTASKS={num_ranks}; start it with srun, or unset both")
    return SlurmStep(rank=rank, num_ranks=num_ranks, local_rank=_number(environment, "SLURM_LOCALID", default=0))


def slurm_task(environment: Mapping[str, str]) -> SlurmTask | None:
    """Return what Slurm says of this process; None as in `slurm_step`, or where a launcher has set WORLD_SIZE.

    Raises:
        ValueError: as `slurm_step`, or no variable says which machines there are.
    """
    step = None if "WORLD_SIZE" in environment else slurm_step(environment)
    if step is None:
        return None
    nodes = environment.get("SLURM_NODELIST") or environment.get("SLURM_JOB_NODELIST") or ""
    address = environment.get("MASTER_ADDR") or first_node(nodes)
    if not address:
        raise ValueError("Slurm started several processes but SLURM_NODELIST is not set; set MASTER_ADDR")
    job = _number(environment, "SLURM_JOB_ID", default=0)
    port = environment.get("MASTER_PORT") or str(_FIRST_PORT + job % 10_000)
    return SlurmTask(
        rank=step.rank, num_ranks=step.num_ranks, local_rank=step.local_rank, meeting=f"tcp://{address}:{port}"
    )


def slurm_array(environment: Mapping[str, str]) -> SlurmArray | None:
    """Return this job's place in its array; None where there is none.

    Raises:
        ValueError: a variable is no number, or they contradict each other.
    """
    if "SLURM_ARRAY_TASK_ID" not in environment:
        return None
    index = _number(environment, "SLURM_ARRAY_TASK_ID", remedy=_UNSET_ARRAY)
    first = _number(environment, "SLURM_ARRAY_TASK_MIN", default=min(index, 1), remedy=_UNSET_ARRAY)
    last = _number(environment, "SLURM_ARRAY_TASK_MAX", default=index, remedy=_UNSET_ARRAY)
    count = _number(environment, "SLURM_ARRAY_TASK_COUNT", default=last - first + 1, remedy=_UNSET_ARRAY)
    if not first <= index <= last or not 1 <= count <= last - first + 1:
        said = f"SLURM_ARRAY_TASK_ID={index} of SLURM_ARRAY_TASK_MIN={first}, _MAX={last}, _COUNT={count}"
        raise ValueError(f"{said} contradict each other; {_UNSET_ARRAY}")
    base = min(first, 1)
    return SlurmArray(index=index + 1 - base, count=count if last - base + 1 == count else None)


def as_array(numbers: Iterable[int]) -> str:
    """Return numbers in rising order as `sbatch --array` takes them.

    >>> as_array([3, 7, 9, 10, 11, 12])
    '3,7,9-12'
    """
    numbers = list(numbers)
    if not numbers:
        return ""
    starts = [numbers[0], *(after for before, after in pairwise(numbers) if after != before + 1)]
    stops = [*(before for before, after in pairwise(numbers) if after != before + 1), numbers[-1]]
    return ",".join(
        str(start) if start == stop else f"{start}-{stop}" for start, stop in zip(starts, stops, strict=True)
    )


def first_node(nodes: str) -> str:
    """Return the first machine of Slurm's list.

    >>> [first_node(one) for one in ("a", "gpu[007-012,20],cpu1", "rack[2,4]-node[10-12]", "")]
    ['a', 'gpu007', 'rack2-node10', '']
    """
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", nodes).partition(",")[0].strip()


def _number(
    environment: Mapping[str, str],
    name: str,
    *,
    default: int | None = None,
    remedy: str = "start it with srun, or unset it",
) -> int:
    found = environment.get(name)
    if found is None and default is not None:
        return default
    if found is None or not re.fullmatch(r"\d{1,9}", found):
        raise ValueError(f"{name} is {found!r}; it must be a whole number: {remedy}")
    return int(found)
