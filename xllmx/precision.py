"""Which precision products run in: bf16 pays only where the device multiplies in it."""

from functools import cache
from typing import Literal

import torch

from xllmx.ranks.distributed import any_rank

_BF16_PRODUCTS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # as torch names what processors can do


def multiplies_bf16(device: torch.device) -> bool:
    """Whether the device has bf16 products of its own: GPUs since Ampere, CPUs with instructions for them.

    Elsewhere they are put together from others: on a Zen 3 (AVX2) 2048 x 2048 matrices took 500 times as long in bf16
    as in fp32, a linear layer ten times.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type != "cpu" or _cpu_multiplies_bf16()


def resolve_precision(precision: Literal["auto", "bf16", "fp32"], device: torch.device) -> Literal["bf16", "fp32"]:
    """Return what all ranks compute in: `auto` is bf16 if the devices of all of them multiply in it, else fp32."""
    if precision != "auto":
        return precision
    return "fp32" if any_rank(not multiplies_bf16(device)) else "bf16"


@cache
def _cpu_multiplies_bf16() -> bool:
    if not hasattr(torch.cpu, "get_capabilities"):  # younger than the oldest PyTorch we run with
        return False
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in _BF16_PRODUCTS)
