"""Clips as training samples: cut, drawn into modes and masks, padded into a batch (SPEC §8.1-3, §8.5)."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lumos.ardf import draw_mask
from lumos.clips import ClipDataset
from lumos.config import ARDFConfig
from lumos.sequence import (
    Clip,
    blocks_of,
    content_index_of,
    fill_placeholders,
    frame_index_of,
    num_latent_frames,
    pack,
    packed_length,
    positions_of,
)
from lumos.vocab import Vocab
from xllmx.task import Prepared


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A clip, cut to the training length, and how it may be used."""

    clip: Clip
    """The clip."""
    modes: tuple[str, ...]
    """One of these is drawn."""
    cfg_drop: float
    """Probability that the text is dropped."""


class ClipStream:
    """The clips of one stream as the engine's dataset; `lengths` are those of the whole clips, in tokens."""

    def __init__(
        self, clips: ClipDataset, *, modes: tuple[str, ...], cfg_drop: float, duration_s: int | None, max_length: int
    ) -> None:
        self.lengths = clips.lengths
        self._clips, self._modes, self._cfg_drop = clips, modes, cfg_drop
        self._duration_s, self._max_length = duration_s, max_length

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Sample:
        """Returns the clip, cut to the training length; ValueError where it is longer than the longest sequence."""
        clip = cut_clip(self._clips[index], self._duration_s)
        length = packed_length(len(clip.prompt_ids), clip.codes.shape)
        if length > self._max_length:
            raise ValueError(
                f"clip {clip.source} ({len(clip.codes)} latent frames) is {length} tokens long, over "
                f"task.max_length={self._max_length}: lower task.duration_s, leave the clip out, or raise max_length"
            )
        return Sample(clip=clip, modes=self._modes, cfg_drop=self._cfg_drop)


def cut_clip(clip: Clip, duration_s: int | None) -> Clip:
    """Returns the first `duration_s` seconds of the clip: frames past them dropped, duration set (SPEC §8.1)."""
    if duration_s is None or clip.duration <= duration_s:
        return clip
    codes = clip.codes[: num_latent_frames(clip.fps * duration_s)]
    return dataclasses.replace(clip, codes=codes, duration=duration_s)


def draw_sample(
    sample: Sample, vocab: Vocab, *, ardf: ARDFConfig, generator: torch.Generator
) -> tuple[Int[Tensor, "L"], Bool[Tensor, "T P"]]:
    """Returns the ids of a sample, its text perhaps dropped, and the mask (True = to be masked) drawn for them.

    Placeholders in the prompt are written with the frames (fps * duration) and the fps of the clip.
    """
    clip = sample.clip
    num_frames, height, width = clip.codes.shape
    prompt = fill_placeholders(
        torch.from_numpy(clip.prompt_ids), vocab=vocab, frames=clip.fps * clip.duration, fps=clip.fps
    )
    codes = torch.from_numpy(clip.codes.astype("int64"))
    ids = pack(prompt, codes, vocab=vocab, fps=clip.fps, duration=clip.duration)
    drop, choice, given = torch.rand(3, generator=generator).tolist()
    if drop < sample.cfg_drop:
        ids = drop_text(ids, vocab)
    mode = sample.modes[min(int(choice * len(sample.modes)), len(sample.modes) - 1)]
    mask = draw_mask(ardf, num_frames, positions_per_frame=height * (width + 1), generator=generator)
    mask[: given_frames(mode, num_frames, given)] = False
    return ids, mask


def drop_text(ids: Int[Tensor, "L"], vocab: Vocab) -> Int[Tensor, "L1"]:
    """Returns the ids from the video start on, so that positions count from there (SPEC §8.2, `text_only`)."""
    return ids[int((ids == vocab.video_start).int().argmax()) :]


def given_frames(mode: str, num_frames: int, u: float) -> int:
    """Returns how many leading frames are given, i.e. neither masked nor predicted (SPEC §8.5); u in [0, 1) decides.

    `text_to_video`: none; `video_next_frame`: 1..T-1, alike likely; `video_prediction_{r}`: int(r * T). An image: none.
    """
    if mode == "text_to_video" or num_frames == 1:
        return 0
    if mode == "video_next_frame":
        return 1 + min(int(u * (num_frames - 1)), num_frames - 2)
    return int(float(mode.removeprefix("video_prediction_")) * num_frames)


def pad_batch(drawn: Sequence[tuple[Tensor, Tensor]], vocab: Vocab) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B T P"]]:
    """Returns the ids of several samples padded on the left, and their masks, False where one has no such frame.

    Padding stands on the left so that the frames of samples of one grid share their columns.
    """
    ids = pad_sequence([ids for ids, _ in drawn], batch_first=True, padding_value=vocab.pad, padding_side="left")
    num_frames, num_positions = (max(mask.shape[axis] for _, mask in drawn) for axis in (0, 1))
    masks = torch.zeros(len(drawn), num_frames, num_positions, dtype=torch.bool)
    for row, (_, mask) in zip(masks, drawn, strict=True):
        row[: mask.shape[0], : mask.shape[1]] = mask
    return ids, masks


def masked_batch(ids: Int[Tensor, "B L"], masks: Bool[Tensor, "B T P"], *, vocab: Vocab) -> Prepared:
    """Returns the batch with the content positions masked where `masks` is True; row ends are masked without a loss."""
    frame, content = frame_index_of(ids, vocab), content_index_of(ids, vocab)
    row = torch.arange(len(ids))[:, None]
    masked = masks[row, frame.clamp(min=0), content.clamp(min=0)] & (content >= 0)
    scored = (masked & vocab.is_code(ids)).flatten().nonzero().flatten()
    inputs = {
        "input_ids": ids.masked_fill(masked, vocab.mask),
        "positions": positions_of(ids, vocab),
        "blocks": blocks_of(ids, vocab),
        "rows": scored,
        "frames": frame.flatten()[scored],
        "num_frames": masks.shape[1],
    }
    targets = vocab.codes_of(ids.flatten()[scored])
    return Prepared(inputs=inputs, targets=targets, num_targets=len(scored), num_tokens=int((ids != vocab.pad).sum()))
