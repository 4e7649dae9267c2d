"""Ranks and reductions. Every function works in a single process too, where it does nothing or returns its input."""

import logging
import os
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from xllmx.ranks.slurm import slurm_task

_LOG = logging.getLogger(__name__)
_TIMEOUT = timedelta(minutes=30)


def init_distributed(device: str = "auto", *, alone: bool = False) -> torch.device:
    """Join the process group if a launcher (torchrun, srun) started several processes; return this process's device.

    Args:
        device: `auto` is the GPU of the local rank where there is one, otherwise the CPU; or a torch device name.
        alone: make a group of one where there is no launcher (sharding needs one).

    Raises:
        ValueError: a device this machine does not have.
    """
    chosen = _device(device)
    if dist.is_initialized():
        return chosen
    backend = "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo"
    if task := slurm_task(os.environ):
        if task.rank == 0:
            _LOG.warning("Slurm started %d processes (SLURM_NTASKS); they meet at %s", task.num_ranks, task.meeting)
        dist.init_process_group(
            backend, init_method=task.meeting, rank=task.rank, world_size=task.num_ranks, timeout=_TIMEOUT
        )
    elif launched_ranks() > 1:
        dist.init_process_group(backend, timeout=_TIMEOUT)
    elif alone:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    return chosen


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


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device is {name!r}; it must be auto, cpu or cuda") from error
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        raise ValueError(f"device is {name!r} but torch sees no GPU here; use device=cpu or install torch with CUDA")
    device = torch.device("cuda", _gpu() if device.index is None else device.index)
    torch.cuda.set_device(device)
    return device


def _gpu() -> int:
    """Return the number of this process's GPU; Slurm may have shown it that one alone (--gpus-per-task)."""
    alone = slurm_task(os.environ) is not None and torch.cuda.device_count() == 1
    return 0 if alone else launched_local_rank()


def rank() -> int:
    """Return this process's number, 0 in a single process."""
    return dist.get_rank() if dist.is_initialized() else 0


def num_ranks() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this is the process that writes the files a run has once."""
    return rank() == 0


def barrier() -> None:
    """Wait until every rank has come here."""
    if dist.is_initialized():
        dist.barrier()


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """Return the sum of the tensor over ranks, in place."""
    if dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor


def sum_over_ranks(number: int) -> int:
    """Return the sum of a number known on the CPU; the device is not waited for."""
    return int(all_reduce_sum(torch.tensor(number)).item())


def any_rank(flag: bool) -> bool:
    """Whether the flag is set on any rank: the same answer on all of them."""
    return sum_over_ranks(int(flag)) > 0


def gather_names(names: list[str]) -> list[str]:
    """Return the sorted union of the names over ranks, so that what is reduced by name lines up."""
    gathered: list[list[str]] = [names]
    if dist.is_initialized():
        gathered = [[] for _ in range(num_ranks())]
        dist.all_gather_object(gathered, names)
    return sorted({name for part in gathered for name in part})


def all_reduce_gradients(model: nn.Module) -> None:
    """Replace each gradient by its sum over ranks; one that is not there on this rank counts as zero."""
    if not dist.is_initialized():
        return
    for parameter in model.parameters():
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            all_reduce_sum(parameter.grad)


def shutdown() -> None:
    """Leave the process group."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
