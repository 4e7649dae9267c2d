"""Clips as training samples: cut, drawn into modes and masks, padded into a batch (SPEC §8.1-3, §8.5)."""

import dataclasses
import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lumos.lumos1.ardf import draw_mask
from lumos.lumos1.config import ARDFConfig
from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.data.shards import packed_lengths
from lumos.lumos1.sequence import (
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
from lumos.tokenizer.vocab import Vocab
from xllmx.data.broken import BrokenSampleError
from xllmx.ranks.distributed import is_main
from xllmx.task import Prepared

TOO_LONG = ("error", "cut", "drop")
"""What may become of a clip longer than the longest sequence."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A clip, cut to the training length, and how it may be used."""

    clip: Clip
    """The clip."""
    modes: tuple[str, ...]
    """One of these is drawn."""
    cfg_drop: float
    """Probability that the text is dropped."""


@dataclass(frozen=True, kw_only=True)
class LengthLimit:
    """The longest clip and the longest sequence, and what becomes of one that is longer.

    Raises:
        ValueError: another action.
    """

    max_length: int
    """Tokens."""
    duration_s: int | None = None
    """Clips are cut to so many seconds first; None leaves them whole."""
    action: str = "error"
    """`error` stops the run; `cut` leaves out the last seconds, as many as it takes; `drop` leaves the clip out."""

    def __post_init__(self) -> None:
        if self.action not in TOO_LONG:
            raise ValueError(f"too_long is {self.action!r}; it must be one of {', '.join(TOO_LONG)}")


class ClipStream:
    """The clips of one stream as the engine's dataset, cut to the training length.

    `lengths` are in tokens, `bucket_keys` the grids (H, W), so that a batch has one aspect; both of what is trained on,
    as far as it is known without reading the clips (of a released record only the whole length is).
    """

    def __init__(
        self,
        clips: ClipDataset,
        *,
        name: str,
        modes: tuple[str, ...],
        cfg_drop: float,
        limit: LengthLimit,
        vocab: Vocab,
    ) -> None:
        self._clips, self._modes, self._cfg_drop = clips, modes, cfg_drop
        self._limit, self._vocab, duration_s = limit, vocab, limit.duration_s
        shapes = cut_shapes(clips.shapes, duration_s)
        known = shapes[:, 1] > 0
        lengths = np.asarray(clips.lengths, dtype=np.int64)
        lengths[known] = packed_lengths(shapes[known])
        self._items, self.num_over = self._within(shapes, lengths, name)
        self.lengths: Sequence[int] = np.minimum(lengths, limit.max_length)[self._items].tolist()
        grids = [tuple(grid) for grid in shapes[self._items, 2:4].tolist()]
        self.bucket_keys: Sequence[Hashable] | None = grids if bool(known.all()) and len(set(grids)) > 1 else None

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Sample:
        """Returns the clip, cut to the training length.

        Raises:
            BrokenSampleError: the clip cannot be read, or is not of this vocabulary, or is too long with action `drop`.
            ValueError: it is longer than the longest sequence, with action `error`.
        """
        try:
            clip = cut_clip(self._clips[int(self._items[index])], self._limit.duration_s)
            check_vocabulary(clip, self._vocab)
        except ValueError as error:
            raise BrokenSampleError(str(error)) from error
        return Sample(clip=self._limited(clip), modes=self._modes, cfg_drop=self._cfg_drop)

    def _limited(self, clip: Clip) -> Clip:
        length = packed_length(len(clip.prompt_ids), clip.codes.shape)
        if length <= self._limit.max_length:
            return clip
        fitting = frames_within(len(clip.prompt_ids), clip.codes.shape, self._limit.max_length)
        if self._limit.action == "cut" and fitting:
            return cut_to_frames(clip, fitting)
        message = (
            f"clip {clip.source} ({len(clip.codes)} latent frames) is {length} tokens long, over "
            f"task.max_length={self._limit.max_length}: lower task.duration_s, leave the clip out "
            "(task.too_long=drop), cut it (task.too_long=cut), or raise max_length"
        )
        raise ValueError(message) if self._limit.action == "error" else BrokenSampleError(message)

    def _within(self, shapes: np.ndarray, lengths: np.ndarray, name: str) -> tuple[np.ndarray, int]:
        """Returns which clips are used, and how many are over the longest sequence, which is logged."""
        over, most = lengths > self._limit.max_length, self._limit.max_length
        if self._limit.action == "error" or not over.any():
            return np.arange(len(lengths)), int(over.sum())
        dropped = over.copy()
        if self._limit.action == "cut":
            grids = [(int(n), (int(t), int(h), int(w))) for n, t, h, w in shapes[over, :4]]
            dropped[over] = [grid[0] > 0 and not frames_within(n, grid, most) for n, grid in grids]
        counts = {"cut": int((over & ~dropped).sum()), "left out": int(dropped.sum())}
        done = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
        if is_main():
            _LOG.warning("stream %s: of %d clips over task.max_length=%d tokens: %s", name, len(over), most, done)
        if dropped.all():
            raise ValueError(
                f"stream {name}: all {len(over)} clips are over task.max_length={most}: raise it, or lower duration_s"
            )
        return np.flatnonzero(~dropped), int(over.sum())


def frames_within(num_prompt_ids: int, grid: tuple[int, ...], max_length: int) -> int:
    """Returns how many whole latent frames of a clip of shape (T, H, W) fit into so many tokens; 0 if not one."""
    frames, height, width = grid
    one, two = (packed_length(num_prompt_ids, (count, height, width)) for count in (1, 2))
    return max(0, min(frames, 1 + (max_length - one) // (two - one)))


def cut_shapes(shapes: np.ndarray, duration_s: int | None) -> np.ndarray:
    """Returns rows of `SHAPE_COLUMNS` as `cut_clip` leaves the clips: fewer frames where one is longer."""
    cut = shapes.copy()
    if duration_s is None:
        return cut
    for row in np.flatnonzero(shapes[:, 5] > duration_s):
        cut[row, 1] = min(int(cut[row, 1]), num_latent_frames(int(cut[row, 4]) * duration_s))
        cut[row, 5] = duration_s
    return cut


def check_vocabulary(clip: Clip, vocab: Vocab) -> None:
    """Raises ValueError where a clip cannot have been coded with this vocabulary: ids or codes it does not have."""
    codes, prompt = clip.codes, clip.prompt_ids
    if codes.size == 0 or int(codes.max()) >= vocab.num_codes:
        found = f"code {int(codes.max())}" if codes.size else "no code"
        raise ValueError(f"clip {clip.source} holds {found}, this model has {vocab.num_codes} codes")
    if len(prompt) == 0 or int(prompt[0]) != vocab.bos or not 0 <= int(prompt.min()) <= int(prompt.max()) < vocab.size:
        ids = f"ids {int(prompt.min())}..{int(prompt.max())} from {int(prompt[0])} on" if len(prompt) else "no ids"
        raise ValueError(f"clip {clip.source} has a prompt of {ids}; here it begins with {vocab.bos}, of {vocab.size}")


def cut_clip(clip: Clip, duration_s: int | None) -> Clip:
    """Returns the first `duration_s` seconds of the clip: frames past them dropped, duration set (SPEC §8.1)."""
    if duration_s is None or clip.duration <= duration_s:
        return clip
    codes = clip.codes[: num_latent_frames(clip.fps * duration_s)]
    return dataclasses.replace(clip, codes=codes, duration=duration_s)


def cut_to_frames(clip: Clip, most: int) -> Clip:
    """Returns at most the first `most` latent frames: whole seconds, as the header says, or less than the first one."""
    seconds = [s for s in range(1, clip.duration) if num_latent_frames(clip.fps * s) <= most]
    if seconds:
        return cut_clip(clip, seconds[-1])
    return dataclasses.replace(clip, codes=clip.codes[:most], duration=1)


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
