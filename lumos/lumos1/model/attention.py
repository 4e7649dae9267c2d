"""The frame-causal rule: a token sees everything before it and its whole frame (paper section 3.3).

One vector of block numbers says it all: query q sees key k iff block[k] <= block[q]. Four ways give the same
numbers: the literal mask (the reference), one unmasked attention per frame against the keys up to that frame's end
(half the work and none of the L x L memory), the same by flash-attn without any mask (`flash_rows`), and FlexAttention.
All but the last are calls of `xllmx.kernels.attention`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lumos.lumos1.attention_backends import BACKENDS as BACKENDS
from lumos.lumos1.model.kernels.explicit import Part, explicit_attention
from lumos.lumos1.model.kernels.flash_rows import FlashPlan, flash_frame_attention, flash_plan_of
from lumos.lumos1.model.kernels.row_plan import RowPlan, Segment, plan_of, samples_of
from lumos.lumos1.model.linear import linear
from xllmx.kernels.attention import attention, backend_of
from xllmx.kernels.flash import find_flash

_QUERIES = 256  # at a time; their scores on 5600 keys are 5.7 MB in fp32


_FLEX_STEP = 128  # FlexAttention works on blocks of so many tokens
_FLEX_KERNELS = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class RowGroup:
    """Neighbouring rows of a batch whose frames stand in the same columns."""

    rows: slice
    segments: tuple[Segment, ...]
    parts: tuple[Part, ...]
    """The segments' queries with the keys they see; masks only in text and where there is padding."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionLayout:
    """How to compute the attention of a batch; `layout_of` makes it once a forward pass, every layer uses it."""

    groups: tuple[RowGroup, ...]
    mask: Tensor | None = None
    """The literal mask, Bool [B, 1, L, L], to be used instead of the groups."""
    block_mask: Any = None
    """FlexAttention's form of the mask, to be used instead of the groups."""
    flash: FlashPlan | None = None
    """The calls of flash-attn, to be used instead of the groups where it is asked for or can be had."""
    kernels: str = "auto"
    """Backend of `xllmx.kernels.attention` that computes the groups."""


def frame_causal_mask(blocks: Int[Tensor, "B L"]) -> Bool[Tensor, "B L L"]:
    """Return the mask [query, key], True where the query may attend to the key.

    Padding (block -1) sees itself alone and is seen by none. A pad, one text token, a frame of 2 tokens, one token::

        blocks -1  0  1  1  2
               x   .  .  .  .
               .   x  .  .  .
               .   x  x  x  .
               .   x  x  x  .
               .   x  x  x  x

    Numbers that fall begin another sample of a packed row (`samples_of`), which sees nothing of the one before.
    """
    query, key = blocks[:, :, None], blocks[:, None, :]
    sample = samples_of(blocks)
    itself = torch.eye(blocks.shape[1], dtype=torch.bool, device=blocks.device)
    return ((key <= query) & (key >= 0) & (sample[:, :, None] == sample[:, None, :])) | itself


def layout_of(
    blocks: Int[Tensor, "B L"], *, backend: str = "per_frame", plan: Sequence[RowPlan] | None = None
) -> AttentionLayout:
    """Return how to compute the attention of a batch.

    Args:
        blocks: block numbers.
        backend: `per_frame` (by flash-attn on GPUs that have it), `flash` (by nothing else), `mask` (the literal rule)
            or `flex` (needs a compiler; on a CPU forward only).
        plan: of these blocks; None makes it (see `plan_of`). With it no value is read.

    Raises:
        ValueError: an unknown backend.
    """
    if backend not in BACKENDS:
        raise ValueError(f"attention backend is {backend!r}; choose one of {', '.join(BACKENDS)}")
    plan, groups = plan_of(blocks) if plan is None else plan, []
    for rows, segments, paddings in plan:
        real = (blocks[rows] >= 0)[:, None, None] if any(paddings) else None
        parts = tuple(_part(segment, real, device=blocks.device) for segment in segments)
        groups.append(RowGroup(rows=rows, segments=segments, parts=parts))
    takes_flash = _takes_flash(backend, blocks.device)
    return AttentionLayout(
        groups=tuple(groups),
        flash=flash_plan_of(plan, length=blocks.shape[1], device=blocks.device) if takes_flash else None,
        kernels="flash" if backend == "flash" else "auto",
        mask=frame_causal_mask(blocks)[:, None] if backend == "mask" else None,
        block_mask=_block_mask(blocks) if backend == "flex" else None,
    )


def frame_layout(num_rows: int, length: int, *, kernels: str = "auto") -> AttentionLayout:
    """Return the layout of rows that are one frame each, or `length` tokens of one: every query sees every key."""
    segment = Segment(0, length, is_frame=True)
    group = RowGroup(rows=slice(0, num_rows), segments=(segment,), parts=(_part(segment, None, device=None),))
    return AttentionLayout(groups=(group,), kernels=kernels)


def frame_causal_attention(
    q: Float[Tensor, "B N L E"], k: Float[Tensor, "B K L E"], v: Float[Tensor, "B K L E"], layout: AttentionLayout
) -> Float[Tensor, "B N L E"]:
    """Return softmax(q k^T / sqrt(E)) v under the frame-causal rule; N query heads share K key/value heads."""
    if layout.mask is not None:
        return _attend(q, k, v, mask=layout.mask)
    if layout.block_mask is not None:
        return _flex(q, k, v, block_mask=layout.block_mask)
    if layout.flash is not None and backend_of(layout.kernels, q) == "flash":
        return flash_frame_attention(q, k, v, layout.flash)
    return _frame_by_frame(q, k, v, layout)


def flex_length(length: int) -> int:
    """Return how many tokens FlexAttention is given of a sequence of `length`: the next of eight lengths an octave.

    It compiles once for each length, and what is added costs almost nothing (padding sees itself alone). A multiple of
    128; at most an eighth more from 1024 on: 130 is 256, 1025 is 1152, 13000 is 13312.
    """
    step = max(_FLEX_STEP, 2 ** ((length - 1).bit_length() - 4)) if length > 1 else _FLEX_STEP
    return -(-length // step) * step


@torch.compiler.disable(reason="the calls follow from the layout: traced, every new layout would compile again")
def _frame_by_frame(q: Tensor, k: Tensor, v: Tensor, layout: AttentionLayout) -> Tensor:
    # Splits rather than slices: their gradients are joined, not added up in buffers of full size.
    rows = [group.rows.stop - group.rows.start for group in layout.groups]
    parts = zip(_split(q, rows, dim=0), _split(k, rows, dim=0), _split(v, rows, dim=0), strict=True)
    gathered = [
        _per_frame(*own, group, kernels=layout.kernels) for group, own in zip(layout.groups, parts, strict=True)
    ]
    return _join(gathered, dim=0)


def cached_attention(
    q: Float[Tensor, "B N L E"],
    k: Float[Tensor, "B K S E"],
    v: Float[Tensor, "B K S E"],
    layout: AttentionLayout,
    *,
    starts: Sequence[int],
) -> Float[Tensor, "B N L E"]:
    """Return the attention of the last L of S tokens to all S, under the frame-causal rule.

    Of a frame the L may be any of its tokens, for they see the same keys.

    Row b is real from column `starts[b]` of the S on. Rows that agree on that and on `layout` (of the L new tokens)
    share a call on just their real keys, so no padding is ever attended to and a frame needs no mask. Queries in the
    padding give 0.
    """
    past = k.shape[2] - q.shape[2]
    outputs = []
    for group in layout.groups:
        for rows, start in _equal_runs(starts, group.rows):
            q_rows, k_rows, v_rows = q[rows], k[rows, :, start:], v[rows, :, start:]
            padding = max(0, start - past)
            parts = [q_rows.new_zeros(q_rows[:, :, :padding].shape)] if padding else []
            for first, stop, is_frame, _ in group.segments:
                begin, end = max(first, padding) + past - start, stop + past - start
                if begin < end:
                    queries = q_rows[:, :, max(first, padding) : stop]
                    keys, values = k_rows[:, :, :end], v_rows[:, :, :end]
                    parts.append(_attend(queries, keys, values, causal=not is_frame, kernels=layout.kernels))
            outputs.append(_join_heads(parts, dim=2))
    return _join_heads(outputs, dim=0)


def _per_frame(q: Tensor, k: Tensor, v: Tensor, group: RowGroup, *, kernels: str) -> Tensor:
    """Return the attention of one group's rows."""
    if _is_faster_explicit(q, k):
        return explicit_attention(q, k, v, group.parts)
    queries = _split(q, [segment.stop - segment.start for segment in group.segments], dim=2)
    gathered = [
        _attend(own, k[:, :, part.keys], v[:, :, part.keys], mask=part.mask, kernels=kernels)
        for own, part in zip(queries, group.parts, strict=True)
    ]
    return _join(gathered, dim=2)


def _takes_flash(backend: str, device: torch.device) -> bool:
    """Whether calls of flash-attn are planned; whether it computes in the dtype is seen when there are tensors."""
    by_itself = backend == "per_frame" and device.type == "cuda" and not isinstance(find_flash(), str)
    return backend == "flash" or by_itself


def _part(segment: Segment, real: Tensor | None, *, device: torch.device | None) -> Part:
    """Return the segment's queries with the keys they see; `real` [B, 1, 1, L] is True where there is no padding."""
    start, stop, is_frame, first = segment
    keys_real = None if real is None else real[..., first:stop]
    mask = keys_real if is_frame else _text_mask(start - first, stop - first, real=keys_real, device=device)
    return Part(slice(start, stop), slice(first, stop), mask)


def _text_mask(start: int, stop: int, *, device: torch.device | None, real: Tensor | None = None) -> Tensor | None:
    """Return the causal mask of queries [start, stop) on keys [0, stop); None where a lone query sees every key."""
    if stop - start == 1 and real is None:
        return None
    mask = torch.ones(1, 1, stop - start, stop, dtype=torch.bool, device=device).tril(start)
    if real is None:
        return mask
    itself = torch.ones_like(mask).tril(start).triu(start)
    return (mask & real) | itself


def _equal_runs(starts: Sequence[int], rows: slice) -> list[tuple[slice, int]]:
    """Return (rows, start) for every run of equal starts among `rows`."""
    bounds = [rows.start, *(b for b in range(rows.start + 1, rows.stop) if starts[b] != starts[b - 1]), rows.stop]
    return [(slice(first, last), starts[first]) for first, last in pairwise(bounds)]


def _attend(
    q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None, causal: bool = False, kernels: str = "auto"
) -> Tensor:
    """Return the attention of queries to keys that all of them see, but for a mask; see `xllmx.kernels.attention`."""
    causal = causal and q.shape[2] > 1  # a lone query sees every key
    if mask is None and not causal and kernels == "auto" and _is_faster_by_head(q, k):
        return _attention_by_head(q, k, v)
    return attention(q, k, v, mask=mask, causal=causal, backend=kernels)


def _is_faster_explicit(q: Tensor, k: Tensor) -> bool:
    """Whether plain products beat the fused kernel: bf16 training on a CPU, where the kernel's backward has no bf16."""
    return q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.requires_grad and q.shape[1] == k.shape[1]


def _is_faster_by_head(q: Tensor, k: Tensor) -> bool:
    """Whether `_attention_by_head` beats the fused kernel: without gradients on a CPU, unless there is little to do.

    Measured on one core of a Zen 5 for 1828 queries on 5600 keys, 8 heads of 64 channels: 103 GFLOP/s to 75 in fp32,
    190 to 79 in bf16, for which the fused kernel on a CPU has no products of its own.
    """
    return q.device.type == "cpu" and not torch.is_grad_enabled() and q.shape[2] * k.shape[2] >= 2**19


def _attention_by_head(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return the unmasked attention, head by head in plain products whose scores fit the processor's caches."""
    gathered, shared = torch.empty_like(q), q.shape[1] // k.shape[1]
    scaled = q * q.shape[-1] ** -0.5
    for row in range(q.shape[0]):
        for head in range(q.shape[1]):
            keys, channels = k[row, head // shared], v[row, head // shared].t().contiguous()
            for start in range(0, q.shape[2], _QUERIES):
                part = slice(start, start + _QUERIES)
                shares = linear(scaled[row, head, part], keys).softmax(dim=-1)
                gathered[row, head, part] = linear(shares, channels)
    return gathered


def _split(x: Tensor, sizes: list[int], *, dim: int) -> Sequence[Tensor]:
    return [x] if len(sizes) == 1 else x.split(sizes, dim=dim)


def _join(parts: list[Tensor], *, dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=dim)


def _join_heads(parts: list[Tensor], *, dim: int) -> Tensor:
    """Return [B, N, L, E] joined such that the heads of a token are neighbours in memory, as the output layer wants."""
    if len(parts) == 1:
        return parts[0]
    return torch.cat([part.transpose(1, 2) for part in parts], dim=1 if dim == 2 else dim).transpose(1, 2)


def _block_mask(blocks: Tensor) -> Any:
    """Return FlexAttention's form of the mask, of as many tokens as it is given (`flex_length`)."""
    from torch.nn.attention.flex_attention import create_block_mask

    batch, length = blocks.shape[0], flex_length(blocks.shape[1])
    blocks = F.pad(blocks, (0, length - blocks.shape[1]), value=-1)
    sample = samples_of(blocks)

    return create_block_mask(
        lambda b, _, q, k: (
            ((blocks[b, k] <= blocks[b, q]) & (blocks[b, k] >= 0) & (sample[b, k] == sample[b, q])) | (q == k)
        ),
        *(batch, None, length, length),
        device=str(blocks.device),
    )


@torch.compiler.disable(
    reason="a compilation of its own, for each length: inside another's its kernel is ten times slower"
)
def _flex(q: Tensor, k: Tensor, v: Tensor, *, block_mask: Any) -> Tensor:
    """Return FlexAttention's output, compiled once for each number of rows and length.

    Raises:
        ValueError: there were too many of them; torch would go on without a kernel, with all scores in memory.
    """
    length, padded = q.shape[2], block_mask.shape[-1]
    known = _flex_shapes()
    known.add((q.shape[0], padded))
    if len(known) > _FLEX_KERNELS:
        raise ValueError(
            f"attention backend is 'flex', which compiles once for each number of rows and length; {q.shape[0]} rows "
            f"of {padded} tokens would be the {len(known)}th of {_FLEX_KERNELS}: take per_frame (task.attention), or "
            "rows of one length (task.packing)"
        )
    if padded > length:
        q, k, v = (F.pad(x, (0, 0, 0, padded - length)) for x in (q, k, v))
    # A kernel each for training, evaluation and dtypes. torch gives up silently beyond its limit: it lies above ours.
    limits: dict[str, Any] = {"recompile_limit": 8 * _FLEX_KERNELS, "accumulated_recompile_limit": 64 * _FLEX_KERNELS}
    with torch._dynamo.config.patch(limits):
        return _compiled_flex()(q, k, v, block_mask=block_mask, enable_gqa=q.shape[1] != k.shape[1])[:, :, :length]


@cache
def _flex_shapes() -> set[tuple[int, int]]:
    """Return the (rows, length) that FlexAttention was called with in this process."""
    return set()


@cache
def _compiled_flex() -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import flex_attention

    # Without fixed shapes a change of length recompiles into a kernel measured ten times slower.
    return torch.compile(flex_attention, dynamic=False)
