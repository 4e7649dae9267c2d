"""Samples as one batch: padded on the left, masked, with the tokens that carry the loss picked out."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lumos.lumos1.model.kernels.row_plan import plan_of
from lumos.lumos1.rotary import MM_ROPE
from lumos.lumos1.sequence import blocks_of, content_index_of, frame_index_of, positions_of
from lumos.lumos1.training.items.samples import MaskedSample
from lumos.tokenizer.vocab import Vocab
from xllmx.task import Prepared


def pad_batch(drawn: Sequence[MaskedSample], vocab: Vocab) -> MaskedSample:
    """Return several samples as one batch: ids padded on the left, masks with False where one has no such frame.

    Padding stands on the left so that the frames of samples of one grid share their columns.
    """
    ids = pad_sequence([one.ids for one in drawn], batch_first=True, padding_value=vocab.pad, padding_side="left")
    predicted = [one.predicted for one in drawn if one.predicted is not None]
    noise = [one.noise for one in drawn if one.noise is not None]
    return MaskedSample(
        ids=ids,
        masked=_padded([one.masked for one in drawn]),
        predicted=_padded(predicted) if predicted else None,
        noise=_padded(noise) if noise else None,
    )


def masked_batch(batch: MaskedSample, *, vocab: Vocab, next_token: bool = False, rotary: str = MM_ROPE) -> Prepared:
    """Return the batch [B, ...] with its masked content positions hidden.

    Inputs: `input_ids`, `positions`, `blocks`; `scored`, where the M codes that carry loss stand in the flattened
    batch; `frames`, the latent frame of each; `num_frames`, T. Targets: these codes. Row ends are masked too, without a
    loss. With `next_token` also `text_scored`, where the tokens stand that are asked for the next one, and `text_ids`,
    those next ones (`next_in_text`).
    """
    ids = batch.ids
    frame, content = frame_index_of(ids, vocab), content_index_of(ids, vocab)
    place = torch.arange(len(ids))[:, None], frame.clamp(min=0), content.clamp(min=0)
    masked = batch.masked[place] & (content >= 0)
    is_code = vocab.is_code(ids) & (content >= 0)
    predicted = masked if batch.predicted is None else batch.predicted[place]
    scored = (predicted & is_code).flatten().nonzero().flatten()
    hidden = ids.masked_fill(masked, vocab.mask)
    if batch.noise is not None:
        hidden = torch.where(masked & is_code, vocab.code_ids(batch.noise[place]), ids)
    inputs = {
        "input_ids": hidden,
        "positions": positions_of(ids, vocab, rotary=rotary),
        "blocks": blocks_of(ids, vocab),
        "scored": scored,
        "frames": frame.flatten()[scored],
        "num_frames": batch.masked.shape[1],
    }
    num_targets = len(scored)
    if next_token:
        inputs["text_scored"] = text = next_in_text(ids, vocab).flatten().nonzero().flatten()
        inputs["text_ids"] = ids.flatten()[text + 1].long()
        num_targets += len(text)
    targets = vocab.codes_of(ids.flatten()[scored])
    return Prepared(inputs=inputs, targets=targets, num_targets=num_targets, num_tokens=int((ids != vocab.pad).sum()))


def next_in_text(ids: Int[Tensor, "B L"], vocab: Vocab) -> Bool[Tensor, "B L"]:
    """Return a mask, True where a token and the one after it belong to the prompt: all of it but its last token.

    ::

        ids     pad  <s>  a  b  SEP  VSTART dur fps ...
        mask      .    x  x  x    .       .   .   .
    """
    prompt = ((ids != vocab.pad).cumsum(1) > 0) & ((ids == vocab.video_start).cumsum(1) == 0)
    return prompt & torch.cat([prompt[:, 1:], torch.zeros_like(prompt[:, :1])], dim=1)


def planned(prepared: Prepared) -> Prepared:
    """Return a batch that is still on the host with what the step would have to read from the device.

    Inputs: `plan`, of its attention, and `codes_of_frames`, the number of targets in each latent frame.
    """
    inputs = prepared.inputs
    counts = torch.bincount(inputs["frames"], minlength=inputs["num_frames"])
    known = {"plan": plan_of(inputs["blocks"]), "codes_of_frames": tuple(counts.tolist())}
    return replace(prepared, inputs={**inputs, **known})


def _padded(masks: Sequence[Tensor]) -> Tensor:
    """Return masks [T, P] as one [B, T, P], zero where one has no such frame or position."""
    num_frames, num_positions = (max(mask.shape[axis] for mask in masks) for axis in (0, 1))
    batch = masks[0].new_zeros(len(masks), num_frames, num_positions)
    for padded, mask in zip(batch, masks, strict=True):
        padded[: mask.shape[0], : mask.shape[1]] = mask
    return batch
