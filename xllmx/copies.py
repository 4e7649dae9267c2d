"""Copies from the host to a device that nothing waits for."""

import torch
from torch import Tensor

_PINNED_FOR = ("cuda", "xpu")


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Return the tensor on the device; from the host's memory by way of pinned memory, without waiting for the device.

    A copy from memory that is not pinned waits until the device has done all that it was asked before.
    """
    device = torch.device(device)
    if tensor.device.type == "cpu" and device.type in _PINNED_FOR and torch.accelerator.is_available():
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
