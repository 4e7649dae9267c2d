"""Where the text and the frames of a batch stand, from block numbers alone: what attention is planned by."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor


class Segment(NamedTuple):
    """Columns [start, stop): one frame, or text, where every token is its own block.

    Keys before `first`, where its sample begins, belong to other samples of a packed row.
    """

    start: int
    stop: int
    is_frame: bool
    first: int = 0


class RowPlan(NamedTuple):
    """Neighbouring rows of a batch whose frames stand in the same columns, in numbers of Python; see `plan_of`."""

    rows: slice
    segments: tuple[Segment, ...]
    paddings: tuple[int, ...]
    """Columns of padding that each row begins with."""


def plan_of(blocks: Int[Tensor, "B L"]) -> tuple[RowPlan, ...]:
    """Return which columns are frames and which are text, for runs of rows that agree on it.

    `blocks` rise along each sample of a row (`samples_of`), after leading -1s (padding). Reads their values: on an
    accelerator it waits once, so a training step makes the plan beforehand, of the blocks on the host.

    ::

        blocks [-1, -1, 0, 1, 2, 2, 2, 3, 3, 3, 4]  ->  one group: text 0..4, frames 4..7 and 7..10, text 10..11
               [ 0,  1, 2, 3, 4, 4, 4, 5, 5, 5, 6]
    """
    numbers = blocks.cpu()
    joined = (numbers[:, 1:] == numbers[:, :-1]) & (numbers[:, 1:] >= 0)
    falls = numbers[:, 1:] < numbers[:, :-1]
    breaks = ((joined[1:] != joined[:-1]) | (falls[1:] != falls[:-1])).any(1).nonzero().flatten() + 1
    paddings = (numbers < 0).sum(1).tolist()
    return tuple(
        RowPlan(slice(first, last), _segments(joined[first], falls[first]), tuple(paddings[first:last]))
        for first, last in pairwise([0, *breaks.tolist(), len(numbers)])
    )


def samples_of(blocks: Int[Tensor, "B L"]) -> Int[Tensor, "B L"]:
    """Return which of the samples packed into its row each token belongs to: block numbers fall where one begins.

    ::

        blocks   -1  0  1  1  2  0  1  1
        samples   0  0  0  0  0  1  1  1
    """
    falls = blocks[:, 1:] < blocks[:, :-1]
    return F.pad(falls.long().cumsum(1), (1, 0))


def _segments(joined: Tensor, falls: Tensor) -> tuple[Segment, ...]:
    """Return the frames, and the text between them, of a row, sample after sample.

    `joined[i]`: tokens i and i + 1 share a block; `falls[i]`: token i + 1 begins another sample.
    """
    bounds = [0, *(falls.nonzero().flatten() + 1).tolist(), len(joined) + 1]
    return tuple(
        Segment(first + start, first + stop, is_frame=is_frame, first=first)
        for first, end in pairwise(bounds)
        for start, stop, is_frame in _sample_segments(joined[first : end - 1])
    )


def _sample_segments(joined: Tensor) -> Iterator[tuple[int, int, bool]]:
    """Return (start, stop, is a frame) of each part of one sample."""
    edges = torch.diff(joined.int(), prepend=joined.new_zeros(1, dtype=torch.int), append=joined.new_zeros(1).int())
    starts, stops = (edges > 0).nonzero().flatten(), (edges < 0).nonzero().flatten() + 1
    column = 0
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        if start > column:
            yield column, start, False
        yield start, stop, True
        column = stop
    if column <= len(joined):
        yield column, len(joined) + 1, False
