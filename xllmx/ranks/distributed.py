"""Ranks and reductions. Every function works in a single process too, where it does nothing or returns its input."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from xllmx.ranks.launched import launched_local_rank as launched_local_rank
from xllmx.ranks.launched import launched_rank as launched_rank
from xllmx.ranks.launched import launched_ranks as launched_ranks
from xllmx.ranks.slurm import slurm_task

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
_TIMEOUT = timedelta(minutes=30)
_PATIENCE_DAYS = 7
_BACKENDS = {"cuda": "cpu:gloo,cuda:nccl", "xpu": "cpu:gloo,xpu:xccl"}


def init_distributed(device: str = "auto", *, alone: bool = False) -> torch.device:
    """Join the process group if a launcher (torchrun, srun) started several processes; return this process's device.

    Args:
        device: `auto` is the GPU of the local rank where there is one (CUDA, or XPU, which was never tried), otherwise
            the CPU; or a torch device name.
        alone: make a group of one where there is no launcher (sharding needs one).

    Raises:
        ValueError: a device this machine does not have.
    """
    chosen = _device(device)
    if dist.is_initialized():
        return chosen
    backend = _BACKENDS.get(chosen.type, "gloo")
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


def _device(name: str) -> torch.device:
    if name == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        name = found.type if found is not None and found.type in _BACKENDS else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device is {name!r}; it must be auto, cpu or cuda (or xpu or mps, untested)") from error
    if device.type == "xpu":
        torch.accelerator.set_device_index(launched_local_rank() if device.index is None else device.index)
        return torch.device("xpu", torch.accelerator.current_device_index())
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


def processes_of_machines() -> list[int]:
    """Return how many processes each machine has, in the order of their numbers; called on all of them.

    A machine begins where its launcher counts from 0 again (`LOCAL_RANK`, `SLURM_LOCALID`). It is [] where a launcher
    does not say, or has dealt numbers to the machines in turns.
    """
    said = "LOCAL_RANK" in os.environ or slurm_task(os.environ) is not None
    mine = torch.tensor([launched_local_rank() if said else -1])
    if not dist.is_initialized():
        return [1]
    everywhere = [torch.empty_like(mine) for _ in range(num_ranks())]
    dist.all_gather(everywhere, mine)
    counts: list[int] = []
    for local in torch.cat(everywhere).tolist():
        if local == 0:
            counts.append(0)
        if not counts or local != counts[-1]:
            return []
        counts[-1] += 1
    return counts


def barrier() -> None:
    """Wait until every rank has come here."""
    if dist.is_initialized():
        dist.barrier()


@contextmanager
def patience() -> Iterator[None]:
    """A context at whose end all ranks wait for the slowest, however long it takes.

    At a `barrier` of the training's own group who has waited half an hour is ended. This one is a group of its own, on
    the CPUs, made here by all ranks.
    """
    if not dist.is_initialized():
        yield
        return
    group = dist.new_group(backend="gloo", timeout=timedelta(days=_PATIENCE_DAYS))
    yield
    dist.barrier(group)
    dist.destroy_process_group(group)


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


def gather(value: _T) -> list[_T]:
    """Return the value of each rank, in their order; every rank must come here."""
    gathered = [value] * num_ranks()
    if dist.is_initialized():
        dist.all_gather_object(gathered, value)
    return gathered


def gather_names(names: list[str]) -> list[str]:
    """Return the sorted union of the names over ranks, so that what is reduced by name lines up."""
    return sorted({name for part in gather(names) for name in part})


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
