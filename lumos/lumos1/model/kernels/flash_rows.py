"""The frame-causal rule by flash-attn, which takes no mask: each call is of items that see a whole run of keys.

Rows that are all alike, each of one sample without padding, need a call for each frame and each run of text, on views.
Otherwise the n-th frames of all samples are one call on their tokens, gathered one behind another, and so is text::

    two rows  . . a a A A        texts     [a a] on [a a],        [b b b] on [b b b], causal
              b b b B B B        frames    [A A] on [a a A A],    [B B B] on [b b b B B B]

Text behind a frame sees that frame and itself up to each token, which `causal` says, for its last token sees all.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lumos.lumos1.model.kernels.row_plan import RowPlan, Segment
from xllmx.copies import to_device
from xllmx.kernels.attention import Spans, attention, packed_attention, spans_of


class FlashCall(NamedTuple):
    """Items of one call; tokens are numbered through all rows, padding included."""

    queries: Tensor
    """Numbers of the items' queries, int64."""
    keys: Tensor
    """Numbers of the items' keys, int64."""
    query_spans: Spans
    key_spans: Spans
    causal: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class FlashPlan:
    """The calls of a batch; `flash_plan_of` makes them once a forward pass, every layer uses them."""

    alike: tuple[Segment, ...] = ()
    """The segments of rows that are all alike; otherwise there are none, and the rest says what to do."""
    calls: tuple[FlashCall, ...] = ()
    """Which queries see which keys."""
    places: Tensor | None = None
    """Where the outputs of all calls, one behind another and a zero behind them, have that of each token, int64."""


def flash_plan_of(plan: Sequence[RowPlan], *, length: int, device: torch.device) -> FlashPlan:
    """Return the calls for rows of `length` tokens. No value on the device is read."""
    segments = plan[0].segments
    if len(plan) == 1 and not any(plan[0].paddings) and not any(segment.first for segment in segments):
        return FlashPlan(alike=segments)
    items: dict[tuple[int, bool], list[tuple[range, range]]] = defaultdict(list)
    for kind, queries, keys in _items(plan, length):
        items[kind].append((queries, keys))
    num_tokens = sum(len(rows.paddings) for rows in plan) * length
    asked = [number for pairs in items.values() for queries, _ in pairs for number in queries]
    places = torch.full((num_tokens,), len(asked))
    places[torch.tensor(asked, dtype=torch.long)] = torch.arange(len(asked))
    calls = (_call(pairs, causal=not is_frame, device=device) for (_, is_frame), pairs in items.items())
    return FlashPlan(calls=tuple(calls), places=to_device(places, device))


@torch.compiler.disable(reason="the calls follow from the plan: traced, every new plan would compile again")
def flash_frame_attention(
    q: Float[Tensor, "B N L E"], k: Float[Tensor, "B K L E"], v: Float[Tensor, "B K L E"], plan: FlashPlan
) -> Float[Tensor, "B N L E"]:
    """Return the attention under the frame-causal rule; that of padding is 0.

    Raises:
        ValueError: flash-attn is not there or cannot compute this; see `xllmx.kernels.attention.resolve_backend`.
    """
    if plan.places is None:
        queries = q.split([segment.stop - segment.start for segment in plan.alike], dim=2)
        gathered = [
            attention(own, k[:, :, :stop], v[:, :, :stop], causal=not is_frame, backend="flash")
            for own, (_, stop, is_frame, _) in zip(queries, plan.alike, strict=True)
        ]
        return torch.cat(gathered, dim=2)
    rows, queries, keys, values = len(q), *(x.transpose(1, 2).flatten(0, 1) for x in (q, k, v))
    outputs = [
        packed_attention(
            queries.index_select(0, call.queries),
            keys.index_select(0, call.keys),
            values.index_select(0, call.keys),
            queries=call.query_spans,
            keys=call.key_spans,
            causal=call.causal,
            backend="flash",
        )
        for call in plan.calls
    ]
    outputs.append(queries.new_zeros(queries[:1].shape))
    return torch.cat(outputs).index_select(0, plan.places).unflatten(0, (rows, -1)).transpose(1, 2)


def _items(plan: Sequence[RowPlan], length: int) -> Iterator[tuple[tuple[int, bool], range, range]]:
    """Yield ((how many of its sample come before it, is a frame), queries, keys) of every segment of every row."""
    for group in plan:
        for row, padding in enumerate(group.paddings, start=group.rows.start):
            number = first = -1
            for segment in group.segments:
                number = number + 1 if segment.first == first else 0
                first = segment.first
                start, stop = max(segment.start, padding), segment.stop
                if start < stop:
                    own = row * length
                    keys = range(own + max(first, padding), own + stop)
                    yield (number, segment.is_frame), range(own + start, own + stop), keys


def _call(pairs: Sequence[tuple[range, range]], *, causal: bool, device: torch.device) -> FlashCall:
    queries, keys = ([pair[side] for pair in pairs] for side in (0, 1))
    return FlashCall(
        queries=to_device(_numbers(queries), device),
        keys=to_device(_numbers(keys), device),
        query_spans=spans_of([len(one) for one in queries], device=device),
        key_spans=spans_of([len(one) for one in keys], device=device),
        causal=causal,
    )


def _numbers(ranges: Sequence[range]) -> Int[Tensor, " numbers"]:
    return torch.cat([torch.arange(one.start, one.stop) for one in ranges])
