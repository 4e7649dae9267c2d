"""Whether a model can be held at all, by arithmetic, before a byte of it is made."""

import os

import torch
from torch import nn

from xllmx.ranks.accounting import MASTER_BYTES


def require_room(model: nn.Module, device: torch.device, *, shards: int = 1) -> None:
    """Check that the fp32 weights of a model (on meta) fit the memory of a device, cut over `shards` of them.

    What training takes beside them is not counted: what is refused can never run.

    Raises:
        ValueError: they do not.
    """
    needed = MASTER_BYTES * sum(parameter.numel() for parameter in model.parameters()) // shards
    there = memory_of(device)
    if needed > there:
        raise ValueError(
            f"the weights of the model take {needed / 2**30:,.1f} GiB in fp32 and {device} has {there / 2**30:,.1f}; "
            "set a smaller model (task.model_config, task.model, task.network), or cut it over more GPUs "
            "(parallel.sharding=full: those of all machines)"
        )


def memory_of(device: torch.device) -> int:
    """Return the bytes of memory a device has in all."""
    if device.type in ("cuda", "xpu"):
        return int(getattr(torch, device.type).get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
