"""Which precision products run in: bf16 pays only where the device multiplies in it."""

from functools import cache
from typing import Literal

import torch

_BF16_PRODUCTS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # as torch names what processors can do


def multiplies_bf16(device: torch.device) -> bool:
    """Returns whether the device has bf16 products: every accelerator, and the CPUs with instructions for them.

    Elsewhere PyTorch computes them piece by piece: on a Zen 3 (AVX2) 2048 x 2048 matrices took 500 times as long in
    bf16 as in fp32, a linear layer ten times.
    """
    return device.type != "cpu" or _cpu_multiplies_bf16()


def resolve_precision(precision: Literal["auto", "bf16", "fp32"], device: torch.device) -> Literal["bf16", "fp32"]:
    """Returns `bf16` or `fp32`; `auto` is bf16 where the device multiplies in it."""
    if precision != "auto":
        return precision
    return "bf16" if multiplies_bf16(device) else "fp32"


@cache
def _cpu_multiplies_bf16() -> bool:
    if not hasattr(torch.cpu, "get_capabilities"):  # not in every PyTorch we run with
        return False
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in _BF16_PRODUCTS)
