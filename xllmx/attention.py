"""Attention over plain tensors, softmax(q k^T / sqrt(E)) v: the one place where it is computed.

Two shapes of the same thing: rows of a batch (`attention`), and items of different lengths one behind another in a
single row (`packed_attention`), where none sees another. N query heads share K key/value heads: head j of the keys
serves the queries j * N/K .. (j + 1) * N/K - 1.

Backends: `sdpa` is torch's own; `flash` is flash-attn, imported when first asked for; `auto` takes flash-attn on CUDA
in half precision where it is installed and there is no mask, otherwise torch's.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int32
from torch import Tensor

from xllmx.copies import to_device

BACKENDS = ("auto", "sdpa", "flash")

_FLASH_MODULES = ("flash_attn_interface", "flash_attn")
"""flash-attn 3, then 2: the first that is there is used; their functions share names and keywords."""

_HALF = (torch.float16, torch.bfloat16)
_FLASH_CAPABILITY = (8, 0)  # Ampere
_FLASH_CHANNELS = 256  # of a head, at most


@dataclass(frozen=True, kw_only=True, eq=False)
class Spans:
    """Where items stand one behind another in a packed row; `spans_of` makes it once, every layer uses it."""

    lengths: tuple[int, ...]
    """Tokens of each item."""
    bounds: Int32[Tensor, " bounds"]
    """0 and the end of each item, on the device of the tokens: lengths 3, 2 give 0, 3, 5."""


def spans_of(lengths: Sequence[int], *, device: torch.device | str) -> Spans:
    """Return the spans of items of these lengths."""
    bounds = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32)
    return Spans(lengths=tuple(lengths), bounds=to_device(bounds, device))


def resolve_backend(backend: str, *, device: torch.device, dtype: torch.dtype) -> str:
    """Return `sdpa` or `flash` for attention computed in `dtype` on `device`.

    Raises:
        ValueError: an unknown name, or `flash` where flash-attn is not installed or cannot compute in `dtype`.
    """
    if backend not in BACKENDS:
        raise ValueError(f"attention backend is {backend!r}; choose one of {', '.join(BACKENDS)}")
    if backend == "sdpa":
        return backend
    usable = device.type == "cuda" and dtype in _HALF
    if backend == "flash":
        if isinstance(found := _flash(), str):
            raise ValueError(
                f"attention backend is 'flash', but flash-attn is not usable here ({found}); install flash-attn or "
                "take 'sdpa'"
            )
        if device.type == "cuda" and not usable:
            raise ValueError(f"attention backend is 'flash', which does not compute in {dtype}; take bf16 or 'sdpa'")
        return backend
    usable = usable and torch.cuda.get_device_capability(device) >= _FLASH_CAPABILITY
    usable = usable and not torch.are_deterministic_algorithms_enabled()  # its backward adds in any order
    return "flash" if usable and not isinstance(_flash(), str) else "sdpa"


def attention(
    q: Float[Tensor, "B N L E"],
    k: Float[Tensor, "B K S E"],
    v: Float[Tensor, "B K S E"],
    *,
    mask: Bool[Tensor, "#B #N #L S"] | None = None,
    backend: str = "auto",
) -> Float[Tensor, "B N L E"]:
    """Return what each query gathers from the keys of its row.

    Args:
        q: queries.
        k: keys.
        v: values.
        mask: True where the query may see the key; every query needs at least one. None: it sees all.
        backend: see above; flash-attn takes no mask.

    Raises:
        ValueError: see `resolve_backend`, or `flash` with a mask.
    """
    if mask is not None and backend == "flash":
        raise ValueError("attention backend is 'flash', which takes no mask; take 'sdpa' or 'auto'")
    if mask is None and _resolved(backend, q) == "flash":
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return _output(_flash_module().flash_attn_func(q, k, v)).transpose(1, 2)
    return _sdpa(q, k, v, mask=mask)


@torch.compiler.disable(reason="lengths are Python's numbers: traced, every new list of them would compile again")
def packed_attention(
    q: Float[Tensor, "L N E"],
    k: Float[Tensor, "S K E"],
    v: Float[Tensor, "S K E"],
    *,
    queries: Spans,
    keys: Spans,
    backend: str = "auto",
) -> Float[Tensor, "L N E"]:
    """Return what each query gathers from all keys of its own item; the i-th spans of both are item i.

    Raises:
        ValueError: see `resolve_backend`.
    """
    assert len(queries.lengths) == len(keys.lengths)
    if _resolved(backend, q) == "flash":
        return _output(
            _flash_module().flash_attn_varlen_func(
                *(q, k, v),
                cu_seqlens_q=queries.bounds,
                cu_seqlens_k=keys.bounds,
                max_seqlen_q=max(queries.lengths),
                max_seqlen_k=max(keys.lengths),
            )
        )
    parts = zip(*(x.split(s.lengths) for x, s in ((q, queries), (k, keys), (v, keys))), strict=True)
    gathered = [_sdpa(*(x.transpose(0, 1)[None] for x in part), mask=None)[0].transpose(0, 1) for part in parts]
    return torch.cat(gathered)


def _resolved(backend: str, q: Tensor) -> str:
    resolved = resolve_backend(backend, device=q.device, dtype=q.dtype)
    fits = q.shape[-1] <= _FLASH_CHANNELS and q.shape[-1] % 8 == 0
    return resolved if fits or backend == "flash" else "sdpa"


def _sdpa(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None) -> Tensor:
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and torch.is_grad_enabled() and q.requires_grad:
        # The fused kernel's backward has no bf16 products on a CPU: for 16 rows of 64 tokens, 4 heads of 48 channels,
        # it takes 24 ms in bf16 and 1 ms in fp32.
        with torch.autocast("cpu", enabled=False):
            return _sdpa(q.float(), k.float(), v.float(), mask=mask).to(q.dtype)
    groups = q.shape[1] // k.shape[1]
    if mask is not None and groups > 1 and q.is_cuda:
        # No fused CUDA kernel takes both a mask and grouped heads; unfused, the scores would fill the memory.
        k, v, groups = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1), 1
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=groups > 1)


@cache
def _flash() -> ModuleType | str:
    """Return flash-attn, or why it cannot be imported."""
    reasons = []
    for name in _FLASH_MODULES:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            reasons.append(f"{name}: {error}")
    return "; ".join(reasons)


def _flash_module() -> Any:
    found = _flash()
    assert not isinstance(found, str)  # `resolve_backend` has looked
    return found


def _output(result: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return the output alone: early versions of flash-attn 3 hand back the logsumexp beside it."""
    return result[0] if isinstance(result, tuple) else result
