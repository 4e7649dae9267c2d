"""Which precision products run in: bf16 pays only where the device multiplies in it."""

from collections.abc import Callable
from functools import cache
from typing import Literal

import torch
from torch import nn

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
    """Return what all ranks compute in: `auto` is bf16 if the devices of all of them multiply in it, else fp32."""
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


def set_fp32_products(device: torch.device, *, tf32: bool) -> None:
    """Have a GPU make the products of fp32 numbers in fp32, or with `tf32` on tensor cores from 10 bits of each.

    torch's own default is fp32 in matrix products and TF32 in convolutions; here it is the same in both.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = tf32


def computing_copy(
    model: nn.Module, build: Callable[[], nn.Module], *, precision: str, device: torch.device
) -> nn.Module:
    """Return a model to sample from while `model` is trained: its weights, on the device, in the computing precision.

    In fp32 on the same device they are the model's own, not copies; in bf16 half as large.

    Args:
        model: with whole weights.
        build: makes an empty one (on meta), without checkpointing of activations and compilation.
        precision: what the model computes in.
        device: where it is sampled from.
    """
    dtype, copy = compute_dtype(precision), build()
    weights = {name: tensor.detach().to(device, dtype) for name, tensor in model.state_dict().items()}
    copy.load_state_dict(weights, assign=True)
    return copy.eval()


@cache
def _cpu_multiplies_bf16() -> bool:
    if not hasattr(torch.cpu, "get_capabilities"):  # younger than the oldest PyTorch we run with
        return False
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in _BF16_PRODUCTS)
