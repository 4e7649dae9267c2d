"""flash-attn, whoever ships it: found when first asked for, its two functions under one signature.

In this order: the kernels that were activated in PyTorch (`torch.nn.attention.activate_flash_attention_impl("FA4")`),
`flash_attn_interface` (flash-attn 3), `flash_attn` (2), then `kernels-community` in the cache of the Hugging Face hub,
by its `kernels` package. Of the hub's only what is there already: they are tried under HF_HUB_OFFLINE=1 alone, so
nothing is ever downloaded.

No function takes a mask. `causal` lets the last query see all keys, the one before it all but the last, and so on::

    2 queries, 4 keys    x x x .
                         x x x x
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int32
from torch import Tensor
from torch.nn.attention import SDPBackend, current_flash_attention_impl, sdpa_kernel

_MODULES = ("flash_attn_interface", "flash_attn")
_HUB_KERNELS = ("kernels-community/flash-attn3", "kernels-community/flash-attn2")
_HUB_VERSION = 1
_FAULTS = (ImportError, OSError, RuntimeError, ValueError)
"""What a build for another PyTorch or GPU may raise when it is loaded."""


@dataclass(frozen=True, kw_only=True)
class FlashAttention:
    """The functions of one of them."""

    name: str
    """Who ships it."""
    dense: Callable[..., Tensor]
    """(q [B L N E], k [B S K E], v, causal=) -> [B L N E]."""
    varlen: Callable[..., Tensor]
    """(q [L N E], k [S K E], v, cu_seqlens_q=, cu_seqlens_k=, max_seqlen_q=, max_seqlen_k=, causal=) -> [L N E]."""


def find_flash() -> FlashAttention | str:
    """Return the first that is there, or why none is."""
    active = current_flash_attention_impl()
    if active is None:
        return _installed()
    return FlashAttention(name=f"PyTorch's {active}", dense=_torch_dense, varlen=_torch_varlen)


@cache
def _installed() -> FlashAttention | str:
    reasons = []
    sources: list[tuple[str, Callable[[str], Any]]] = [(name, importlib.import_module) for name in _MODULES]
    sources += [(name, _hub_kernel) for name in _HUB_KERNELS]
    for name, load in sources:
        try:
            module = load(name)
            dense, varlen = _output_alone(module.flash_attn_func), _output_alone(module.flash_attn_varlen_func)
        except (*_FAULTS, AttributeError) as error:  # a folder of that name has no functions
            reasons.append(f"{name}: {error}")
        else:
            return FlashAttention(name=name, dense=dense, varlen=varlen)
    return "; ".join(reasons)


def _hub_kernel(name: str) -> Any:
    kernels = importlib.import_module("kernels")
    from huggingface_hub import constants

    if not constants.HF_HUB_OFFLINE:
        raise ImportError("looked for in the hub's cache with HF_HUB_OFFLINE=1 alone, as nothing is downloaded here")
    return kernels.get_kernel(name, version=_HUB_VERSION)


def _output_alone(function: Callable[..., Any]) -> Callable[..., Tensor]:
    """Return the function without the logsumexp that some versions hand back beside the output."""

    def call(*tensors: Tensor, **options: Any) -> Tensor:
        result = function(*tensors, **options)
        return result[0] if isinstance(result, tuple) else result

    return call


def _torch_dense(
    q: Float[Tensor, "B L N E"], k: Float[Tensor, "B S K E"], v: Float[Tensor, "B S K E"], *, causal: bool
) -> Tensor:
    rows, length, num_keys = len(q), q.shape[1], k.shape[1]
    if causal and length != num_keys:  # PyTorch's own function lines up the first query and key, not the last
        bounds = (torch.arange(rows + 1, dtype=torch.int32, device=q.device) * one for one in (length, num_keys))
        packed = (x.flatten(0, 1) for x in (q, k, v))
        names = ("cu_seqlens_q", "cu_seqlens_k")
        spans = dict(zip(names, bounds, strict=True))
        return _torch_varlen(*packed, **spans, max_seqlen_q=length, max_seqlen_k=num_keys, causal=True).view_as(q)
    grouped = q.shape[2] != k.shape[2]
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=grouped).transpose(1, 2)


def _torch_varlen(
    q: Float[Tensor, "L N E"],
    k: Float[Tensor, "S K E"],
    v: Float[Tensor, "S K E"],
    *,
    cu_seqlens_q: Int32[Tensor, " bounds"],
    cu_seqlens_k: Int32[Tensor, " bounds"],
    max_seqlen_q: int,
    max_seqlen_k: int,
    causal: bool,
) -> Tensor:
    varlen = importlib.import_module("torch.nn.attention.varlen")
    window = (-1, 0) if causal else (-1, -1)
    grouped = q.shape[1] != k.shape[1]
    return varlen.varlen_attn(
        *(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k), window_size=window, enable_gqa=grouped
    )
