"""Whether the numbers of a tensor are finite: one pass over it where it lies, and nothing of its size is made."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

NOT_FINITE = "holds numbers that are not finite"


def is_finite(tensor: Tensor) -> bool:
    """Whether all numbers are; minimum and maximum hand on a NaN."""
    tensor = tensor.detach()
    if tensor.numel() == 0 or not tensor.is_floating_point():
        return True
    if tensor.dtype.itemsize == 1:  # the fp8 types have no minimum
        tensor = tensor.float()
    return bool(torch.stack(torch.aminmax(tensor)).isfinite().all())


def check_weight(tensor: Tensor, name: str, source: Path | str, *, remedy: str) -> None:
    """Check that a tensor can be weights as they are used: fractions, and finite.

    Raises:
        ValueError: it is not; one line with the file (or folder) `source`, the tensor's name and the `remedy`.
    """
    kind = str(tensor.dtype).removeprefix("torch.")
    if not tensor.is_floating_point():
        raise ValueError(
            f"{name} in {source} is of type {kind}; weights are fractions, rounded ones are not read; {remedy}"
        )
    if not is_finite(tensor):
        raise ValueError(
            f"{name} in {source} {NOT_FINITE} as {kind}; the file is damaged or the type too narrow: {remedy}"
        )


def check_weights(tensors: Mapping[str, Tensor], source: Path | str, *, remedy: str) -> None:
    """Check each of the tensors with `check_weight`."""
    for name, tensor in tensors.items():
        check_weight(tensor, name, source, remedy=remedy)
