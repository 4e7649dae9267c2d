"""Which precision products run in: bf16 pays only where the device multiplies in it."""

from functools import cache
from typing import Literal

import torch

from xllmx.ranks.distributed import any_rank

Precision = Literal["bf16", "fp32", "tf32", "fp16"]
"""What a model computes in."""

_BF16_PRODUCTS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # as torch names what processors can do


def multiplies_bf16(device: torch.device) -> bool:
    """Whether the device has bf16 products of its own: GPUs since Ampere, CPUs with instructions for them.

    Elsewhere they are put together from others: on a Zen 3 (AVX2) 2048 x 2048 matrices took 500 times as long in bf16
    as in fp32, a linear layer ten times.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type != "cpu" or _cpu_multiplies_bf16()


def resolve_precision(precision: Precision | Literal["auto"], device: torch.device) -> Precision:
    """Return what all ranks compute in: `auto` is bf16 if the devices of all of them multiply in it, else fp32.

    With tf32 products of fp32 matrices on GPUs may use it from now on, in this whole process.
    """
    if precision == "tf32" and device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    if precision != "auto":
        return precision
    return "fp32" if any_rank(not multiplies_bf16(device)) else "bf16"


def compute_dtype(precision: str) -> torch.dtype:
    """Return what products are computed in: bfloat16, float16, or float32 (fp32 and tf32)."""
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)


def computing_in(precision: str, device: torch.device) -> torch.autocast:
    """A context in which a model with fp32 weights computes in the precision (`compute_dtype`)."""
    dtype = compute_dtype(precision)
    half = dtype != torch.float32
    return torch.autocast(device.type, dtype if half else None, enabled=half)


def slow_precision(precision: str, device: torch.device) -> str | None:
    """Return what is to be said of a precision that the device computes slowly, or not at all; None for nothing."""
    if precision == "bf16" and not multiplies_bf16(device):
        return "this CPU has no bf16 products and computes them slowly; trainer.precision=auto uses fp32"
    if precision == "fp16" and device.type == "cpu":
        return "a CPU computes fp16 slowly; trainer.precision=auto uses what it is fast in"
    if precision == "tf32" and device.type == "cpu":
        return "a CPU has no tf32: products are fp32"
    return None


@cache
def _cpu_multiplies_bf16() -> bool:
    if not hasattr(torch.cpu, "get_capabilities"):  # younger than the oldest PyTorch we run with
        return False
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in _BF16_PRODUCTS)
