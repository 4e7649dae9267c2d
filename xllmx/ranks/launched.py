"""What a launcher (torchrun, srun) says of this process before it has joined the others; imported without torch."""

import os

from xllmx.ranks.slurm import slurm_task


def launched_ranks() -> int:
    """Return how many processes the launcher started, joined or not; 1 without one."""
    task = slurm_task(os.environ)
    return task.num_ranks if task else int(os.environ.get("WORLD_SIZE", "1"))


def launched_rank() -> int:
    """Return this process's number among those the launcher started, joined or not; 0 without one."""
    task = slurm_task(os.environ)
    return task.rank if task else int(os.environ.get("RANK", "0"))


def launched_local_rank() -> int:
    """Return this process's number among those the launcher started on this machine; 0 without one."""
    task = slurm_task(os.environ)
    return task.local_rank if task else int(os.environ.get("LOCAL_RANK", "0"))
