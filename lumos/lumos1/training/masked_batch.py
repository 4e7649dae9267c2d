"""Samples as one batch: padded on the left, masked, with the tokens that carry the loss picked out."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lumos.lumos1.model.attention import plan_of
from lumos.lumos1.sequence import blocks_of, content_index_of, frame_index_of, positions_of
from lumos.tokenizer.vocab import Vocab
from xllmx.task import Prepared


def pad_batch(drawn: Sequence[tuple[Tensor, Tensor]], vocab: Vocab) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B T P"]]:
    """Return the ids of several samples padded on the left, and their masks, False where one has no such frame.

    Padding stands on the left so that the frames of samples of one grid share their columns.
    """
    ids = pad_sequence([ids for ids, _ in drawn], batch_first=True, padding_value=vocab.pad, padding_side="left")
    num_frames, num_positions = (max(mask.shape[axis] for _, mask in drawn) for axis in (0, 1))
    masks = torch.zeros(len(drawn), num_frames, num_positions, dtype=torch.bool)
    for padded, (_, mask) in zip(masks, drawn, strict=True):
        padded[: mask.shape[0], : mask.shape[1]] = mask
    return ids, masks


def masked_batch(ids: Int[Tensor, "B L"], masks: Bool[Tensor, "B T P"], *, vocab: Vocab) -> Prepared:
    """Return the batch with the content positions masked where `masks` is True.

    Inputs: `input_ids`, `positions`, `blocks`; `scored`, where the M masked codes stand in the flattened batch;
    `frames`, the latent frame of each; `num_frames`, T. Targets: the masked codes. Row ends are masked too, without a
    loss.
    """
    frame, content = frame_index_of(ids, vocab), content_index_of(ids, vocab)
    row = torch.arange(len(ids))[:, None]
    masked = masks[row, frame.clamp(min=0), content.clamp(min=0)] & (content >= 0)
    scored = (masked & vocab.is_code(ids)).flatten().nonzero().flatten()
    inputs = {
        "input_ids": ids.masked_fill(masked, vocab.mask),
        "positions": positions_of(ids, vocab),
        "blocks": blocks_of(ids, vocab),
        "scored": scored,
        "frames": frame.flatten()[scored],
        "num_frames": masks.shape[1],
    }
    targets = vocab.codes_of(ids.flatten()[scored])
    return Prepared(inputs=inputs, targets=targets, num_targets=len(scored), num_tokens=int((ids != vocab.pad).sum()))


def planned(prepared: Prepared) -> Prepared:
    """Return a batch that is still on the host with what the step would have to read from the device.

    Inputs: `plan`, of its attention, and `codes_of_frames`, the number of targets in each latent frame.
    """
    inputs = prepared.inputs
    counts = torch.bincount(inputs["frames"], minlength=inputs["num_frames"])
    known = {"plan": plan_of(inputs["blocks"]), "codes_of_frames": tuple(counts.tolist())}
    return replace(prepared, inputs={**inputs, **known})
