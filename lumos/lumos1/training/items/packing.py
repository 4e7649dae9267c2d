"""Packing: several short samples in one row of a batch instead of padding.

None sees another, and each counts its positions from 0. Block numbers restart with every sample, which is all that
attention has to know (`row_plan.samples_of`)::

    padded   . . . a a a a        packed   a a a a b b b b b b b c c c
             b b b b b b b
             . . . . c c c
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lumos.tokenizer.vocab import Vocab
from xllmx.task import Prepared

_NOWHERE = -1  # block of padding


def first_fit(lengths: Sequence[int], row_length: int) -> list[list[int]]:
    """Return the samples of each row: every sample goes to the first row with room; one that is longer has its own.

    >>> first_fit([5, 3, 4, 2], 8)
    [[0, 1], [2, 3]]
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for sample, length in enumerate(lengths):
        row = next((number for number, left in enumerate(room) if left >= length), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(row_length)
        rows[row].append(sample)
        room[row] -= length
    return rows


def pack_batch(samples: Sequence[Prepared], row_length: int, *, vocab: Vocab) -> Prepared:
    """Return one batch of samples that were prepared alone, packed into rows of up to `row_length` tokens.

    Inputs are those of `masked_batch`, and `padding_saved`: (tokens that padding would have added, all it would have).
    Rows shorter than the longest are padded on the left.
    """
    lengths = [sample.inputs["input_ids"].shape[1] for sample in samples]
    rows = first_fit(lengths, row_length)
    width = max(sum(lengths[sample] for sample in row) for row in rows)
    places: dict[int, int] = {}
    for number, row in enumerate(rows):
        place = (number + 1) * width - sum(lengths[sample] for sample in row)
        for sample in row:
            places[sample] = place
            place += lengths[sample]
    padded = len(samples) * max(lengths)
    order = [sample for row in rows for sample in row]
    inputs = {
        "input_ids": _rows(samples, rows, "input_ids", width=width, fill=vocab.pad),
        "positions": _rows(samples, rows, "positions", width=width, fill=0),
        "blocks": _rows(samples, rows, "blocks", width=width, fill=_NOWHERE),
        "scored": torch.cat([samples[sample].inputs["scored"] + places[sample] for sample in order]),
        "frames": torch.cat([samples[sample].inputs["frames"] for sample in order]),
        "num_frames": max(sample.inputs["num_frames"] for sample in samples),
        "padding_saved": (padded - len(rows) * width, padded),
    }
    if "text_scored" in samples[0].inputs:
        inputs["text_scored"] = torch.cat([samples[one].inputs["text_scored"] + places[one] for one in order])
        inputs["text_ids"] = torch.cat([samples[one].inputs["text_ids"] for one in order])
    return Prepared(
        inputs=inputs,
        targets=torch.cat([samples[sample].targets for sample in order]),
        num_targets=sum(sample.num_targets for sample in samples),
        num_tokens=sum(sample.num_tokens for sample in samples),
    )


def _rows(samples: Sequence[Prepared], rows: list[list[int]], name: str, *, width: int, fill: int) -> Tensor:
    """Return one input of all samples as rows [R, ..., width]."""
    joined = [torch.cat([samples[sample].inputs[name] for sample in row], dim=-1) for row in rows]
    return torch.cat([F.pad(row, (width - row.shape[-1], 0), value=fill) for row in joined])
