"""Attention over plain tensors, softmax(q k^T / sqrt(E)) v: the one place where it is computed.

Two shapes of the same thing: rows of a batch (`attention`), and items of different lengths one behind another in a
single row (`packed_attention`), where none sees another. N query heads share K key/value heads: head j of the keys
serves the queries j * N/K .. (j + 1) * N/K - 1.

Backends: `sdpa` is torch's own, on CUDA its flash kernel (half precision, no mask) or its memory-efficient one; `cudnn`
is the same with cuDNN's kernels first; `flash` is flash-attn, whoever ships it (`xllmx.kernels.flash`); `auto` takes
flash-attn on CUDA in half precision where it is installed and there is no mask, otherwise `sdpa`.

Left to itself torch takes cuDNN first on Hopper. cuDNN makes a plan for each new set of sizes and strides, tens to
hundreds of milliseconds long, so it is used only where it is asked for by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int32
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from xllmx.copies import to_device
from xllmx.kernels.flash import FlashAttention, find_flash

BACKENDS = ("auto", "sdpa", "cudnn", "flash")

_FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
_KERNELS = {
    "sdpa": [*_FUSED, SDPBackend.MATH],
    "cudnn": [SDPBackend.CUDNN_ATTENTION, *_FUSED, SDPBackend.MATH],
}
"""Kernels of torch on CUDA, the first that can compute a call is taken: flash knows no mask and half precision alone,
and only MATH, whose scores fill the memory, knows fp64."""

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
    """Return the spans of items of these lengths; the last ones asked for are kept, as all steps of a run want them."""
    return _spans(tuple(lengths), torch.device(device))


def resolve_backend(backend: str, *, device: torch.device, dtype: torch.dtype) -> str:
    """Return `sdpa`, `cudnn` or `flash` for attention computed in `dtype` on `device`.

    On a CPU `cudnn` is `sdpa`.

    Raises:
        ValueError: an unknown name, or `flash` where flash-attn is not installed or cannot compute in `dtype` or there.
    """
    if backend not in BACKENDS:
        raise ValueError(f"attention backend is {backend!r}; choose one of {', '.join(BACKENDS)}")
    if backend in _KERNELS:
        return backend
    if backend == "flash":
        _check_flash(device, dtype)
        return backend
    return "flash" if _takes_flash_by_itself(device, dtype) else "sdpa"


def backend_of(backend: str, q: Float[Tensor, "*B E"]) -> str:
    """Return `sdpa`, `cudnn` or `flash` for these queries: `auto` passes over flash-attn for heads it does not know.

    Raises:
        ValueError: see `resolve_backend`.
    """
    resolved = resolve_backend(backend, device=q.device, dtype=q.dtype)
    fits = q.shape[-1] <= _FLASH_CHANNELS and q.shape[-1] % 8 == 0
    return resolved if fits or backend == "flash" else "sdpa"


def attention(
    q: Float[Tensor, "B N L E"],
    k: Float[Tensor, "B K S E"],
    v: Float[Tensor, "B K S E"],
    *,
    mask: Bool[Tensor, "#B #N #L S"] | None = None,
    causal: bool = False,
    backend: str = "auto",
) -> Float[Tensor, "B N L E"]:
    """Return what each query gathers from the keys of its row.

    Args:
        q: queries.
        k: keys.
        v: values.
        mask: True where the query may see the key; every query needs at least one. None: it sees all.
        causal: whether the last query sees all keys, the one before it all but the last, and so on; without a mask.
        backend: see above; flash-attn takes no mask.

    Raises:
        ValueError: see `resolve_backend`, or `flash` with a mask.
    """
    assert mask is None or not causal
    if mask is not None and backend == "flash":
        raise ValueError("attention backend is 'flash', which takes no mask; take 'sdpa' or 'auto'")
    resolved = backend_of(backend, q)
    if mask is None and resolved == "flash":
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return _flash().dense(q, k, v, causal=causal).transpose(1, 2)
    return _sdpa(q, k, v, mask=_causal_mask(q, k) if causal else mask, kernels=resolved)


@torch.compiler.disable(reason="lengths are Python's numbers: traced, every new list of them would compile again")
def packed_attention(
    q: Float[Tensor, "L N E"],
    k: Float[Tensor, "S K E"],
    v: Float[Tensor, "S K E"],
    *,
    queries: Spans,
    keys: Spans,
    causal: bool = False,
    backend: str = "auto",
) -> Float[Tensor, "L N E"]:
    """Return what each query gathers from the keys of its own item; the i-th spans of both are item i.

    `causal` as in `attention`, item by item; otherwise each sees all of them.

    Raises:
        ValueError: see `resolve_backend`.
    """
    assert len(queries.lengths) == len(keys.lengths)
    resolved = backend_of(backend, q)
    if resolved == "flash":
        return _flash().varlen(
            *(q, k, v),
            cu_seqlens_q=queries.bounds,
            cu_seqlens_k=keys.bounds,
            max_seqlen_q=max(queries.lengths),
            max_seqlen_k=max(keys.lengths),
            causal=causal,
        )
    parts = zip(*(x.split(s.lengths) for x, s in ((q, queries), (k, keys), (v, keys))), strict=True)
    rows = [[x.transpose(0, 1)[None] for x in part] for part in parts]
    masks = [_causal_mask(q, k) if causal else None for q, k, _ in rows]
    gathered = [_sdpa(*row, mask=mask, kernels=resolved) for row, mask in zip(rows, masks, strict=True)]
    return torch.cat([row[0].transpose(0, 1) for row in gathered])


def _check_flash(device: torch.device, dtype: torch.dtype) -> None:
    """Raise ValueError where flash-attn was asked for and cannot be had."""
    if isinstance(found := find_flash(), str):
        raise ValueError(
            f"attention backend is 'flash', but flash-attn is not usable here ({found}); install flash-attn "
            "(pip install -e '.[flash]') or take 'sdpa'"
        )
    if device.type == "cuda" and dtype not in _HALF:
        raise ValueError(f"attention backend is 'flash', which does not compute in {dtype}; take bf16 or 'sdpa'")
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < _FLASH_CAPABILITY:
        raise ValueError("attention backend is 'flash', which needs a GPU of Ampere's or a later kind; take 'sdpa'")


def _takes_flash_by_itself(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether `auto` is flash-attn: never where results are to repeat, for its backward adds in any order."""
    if device.type != "cuda" or dtype not in _HALF or isinstance(find_flash(), str):
        return False
    if torch.are_deterministic_algorithms_enabled():
        return False
    return torch.cuda.get_device_capability(device) >= _FLASH_CAPABILITY


def _flash() -> FlashAttention:
    found = find_flash()
    assert not isinstance(found, str)  # `resolve_backend` has looked
    return found


def _sdpa(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None, kernels: str) -> Tensor:
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and torch.is_grad_enabled() and q.requires_grad:
        # The fused kernel's backward has no bf16 products on a CPU: for 16 rows of 64 tokens, 4 heads of 48 channels,
        # it takes 24 ms in bf16 and 1 ms in fp32.
        with torch.autocast("cpu", enabled=False):
            return _sdpa(q.float(), k.float(), v.float(), mask=mask, kernels=kernels).to(q.dtype)
    groups = q.shape[1] // k.shape[1]
    if not q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=groups > 1)
    if groups > 1 and (mask is not None or q.dtype not in _HALF):
        # The memory-efficient kernel knows no grouped heads; unfused, the scores would fill the memory.
        k, v, groups = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1), 1
    # `flash` comes here with a mask, which it does not take.
    with sdpa_kernel(_KERNELS.get(kernels, _KERNELS["sdpa"]), set_priority=True):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=groups > 1)


def _causal_mask(q: Tensor, k: Tensor) -> Tensor | None:
    """Return what `causal` says, [L, S]; None where a lone query sees every key."""
    length, num_keys = q.shape[2], k.shape[2]
    if length == 1:
        return None
    return torch.ones(1, 1, length, num_keys, dtype=torch.bool, device=q.device).tril(num_keys - length)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is kept may be wanted by a later call that records gradients
def _spans(lengths: tuple[int, ...], device: torch.device) -> Spans:
    bounds = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32)
    return Spans(lengths=lengths, bounds=to_device(bounds, device))
