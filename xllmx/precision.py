"""Which precision products run in: bf16 pays only where the device multiplies in it."""

from collections.abc import Callable
from functools import cache
from typing import Literal

import torch
from torch import nn

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


def set_fp32_products(device: torch.device, *, tf32: bool) -> None:
    """Have a GPU make the products of fp32 numbers in fp32, or with `tf32` on tensor cores from 10 bits of each.

    torch's own default is fp32 in matrix products and TF32 in convolutions; here it is the same in both.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = tf32


def name_of_products(precision: str, device: torch.device, *, tf32: bool) -> str:
    """Return what products are made in, for people: `bf16`, `fp32`, or on a GPU that was told so `fp32 (TF32)`."""
    return f"{precision} (TF32)" if precision == "fp32" and tf32 and device.type == "cuda" else precision


def computing_copy(
    model: nn.Module, build: Callable[[], nn.Module], *, precision: str, device: torch.device
) -> nn.Module:
    """Return a model to sample from while `model` is trained: its weights, on the device, in the computing precision.

    In fp32 on the same device they are the model's own, not copies; in bf16 half as large.

    Args:
        model: with whole weights.
        build: makes an empty one (on meta), without checkpointing of activations and compilation.
        precision: bf16 or fp32.
        device: where it is sampled from.
    """
    dtype, copy = torch.bfloat16 if precision == "bf16" else torch.float32, build()
    weights = {name: tensor.detach().to(device, dtype) for name, tensor in model.state_dict().items()}
    copy.load_state_dict(weights, assign=True)
    return copy.eval()


@cache
def _cpu_multiplies_bf16() -> bool:
    if not hasattr(torch.cpu, "get_capabilities"):  # younger than the oldest PyTorch we run with
        return False
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in _BF16_PRODUCTS)
