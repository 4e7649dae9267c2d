"""Slurm's own launcher: what `srun` says of a process, where no other launcher (torchrun) has said it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_FIRST_PORT = 15000
"""Ports from here on, one for each of the last four digits of a job's number, so that jobs of one machine differ."""


@dataclass(frozen=True, kw_only=True)
class SlurmTask:
    """This process among those that srun started."""

    rank: int
    """Its number among all (SLURM_PROCID)."""
    num_ranks: int
    """Of all (SLURM_NTASKS)."""
    local_rank: int
    """Its number on its machine (SLURM_LOCALID)."""
    meeting: str
    """Where they meet: tcp://MACHINE:PORT, the first machine of the job, or MASTER_ADDR and MASTER_PORT."""


def slurm_task(environment: Mapping[str, str]) -> SlurmTask | None:
    """Return what Slurm says of this process; None where it is one of one, or a launcher has set WORLD_SIZE.

    Raises:
        ValueError: a variable is no number of a task, or none says which machines there are.
    """
    if "WORLD_SIZE" in environment or "SLURM_PROCID" not in environment:
        return None
    num_ranks = _number(environment, "SLURM_NTASKS", default=1)
    if num_ranks < 2:
        return None
    rank = _number(environment, "SLURM_PROCID")
    if rank >= num_ranks:
        raise ValueError(f"SLURM_PROCID is {rank} of SLURM_NTASKS={num_ranks}; start the training with srun")
    nodes = environment.get("SLURM_NODELIST") or environment.get("SLURM_JOB_NODELIST") or ""
    address = environment.get("MASTER_ADDR") or first_node(nodes)
    if not address:
        raise ValueError("Slurm started several processes but SLURM_NODELIST is not set; set MASTER_ADDR")
    job = _number(environment, "SLURM_JOB_ID", default=0)
    port = environment.get("MASTER_PORT") or str(_FIRST_PORT + job % 10_000)
    return SlurmTask(
        rank=rank,
        num_ranks=num_ranks,
        local_rank=_number(environment, "SLURM_LOCALID", default=0),
        meeting=f"tcp://{address}:{port}",
    )


def first_node(nodes: str) -> str:
    """Return the first machine of Slurm's list.

    >>> [first_node(one) for one in ("a", "gpu[007-012,20],cpu1", "rack[2,4]-node[10-12]", "")]
    ['a', 'gpu007', 'rack2-node10', '']
    """
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", nodes).partition(",")[0].strip()


def _number(environment: Mapping[str, str], name: str, *, default: int | None = None) -> int:
    found = environment.get(name)
    if found is None and default is not None:
        return default
    if found is None or not re.fullmatch(r"\d{1,9}", found):
        raise ValueError(f"{name} is {found!r}; it must be a whole number: start the training with srun, or unset it")
    return int(found)
