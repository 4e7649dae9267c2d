"""The layout of a sequence: prompt and codes to ids and back, block numbers, positions, labels.

This is the only file that knows it, but for what `sequence_lengths` counts::

    <s> prompt SEP  VSTART dur fps  F0 F1 ... F(T-1)  VEND SEP
    Fi = FSTART hgrid wgrid  (W codes, ROWEND) x H  FEND

P = H * (W + 1) are the content positions of a frame (codes and row ends), F = P + 4 its tokens.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lumos.lumos1.rotary import MM_ROPE, ROTARIES
from lumos.lumos1.sequence_lengths import HEAD as _HEAD
from lumos.lumos1.sequence_lengths import TEMPORAL_FACTOR as TEMPORAL_FACTOR
from lumos.lumos1.sequence_lengths import frame_length as frame_length
from lumos.lumos1.sequence_lengths import num_latent_frames as num_latent_frames
from lumos.lumos1.sequence_lengths import sequence_length as sequence_length
from lumos.tokenizer.vocab import Vocab
from xllmx.settings.setting import SettingError

SPATIAL_FACTOR = 8
"""Pixels per latent row and column."""
GRID_PX = 32
"""Pixels per unit of the grid tokens."""
IGNORED_LABEL = -100
"""Label of a token that carries no loss."""

_GRID_CODES = GRID_PX // SPATIAL_FACTOR


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """One sample on disk: an image is a clip of one frame, fps 1 and duration 1."""

    prompt_ids: np.ndarray
    """int32 [L], from `<s>` up to, not including, the separator; may hold placeholders."""
    caption: str
    """The text the prompt was made from; empty when unknown."""
    codes: np.ndarray
    """uint16 [T, H, W], visual codes 0..num_codes-1."""
    fps: int
    """Frames per second."""
    duration: int
    """Seconds."""
    source: str
    """Where the sample comes from: a path or a name."""


def num_frames_of(latent_frames: int) -> int:
    """Return how many frames `latent_frames` >= 1 decode to: 1 + 4 (T - 1)."""
    return 1 + TEMPORAL_FACTOR * (latent_frames - 1)


def grid_of(width_px: int, height_px: int) -> tuple[int, int]:
    """Return (H, W), the latent rows and columns of a frame of `width_px` x `height_px`.

    Raises:
        ValueError: a side is not a positive multiple of 32.
    """
    for name, side in (("width", width_px), ("height", height_px)):
        if side < GRID_PX or side % GRID_PX:
            nearest = max(GRID_PX, round(side / GRID_PX) * GRID_PX)
            raise SettingError(name, f"is {side}; it must be a multiple of {GRID_PX} pixels, for example {nearest}")
    return height_px // SPATIAL_FACTOR, width_px // SPATIAL_FACTOR


def frame_content(height: int, width: int) -> Int[Tensor, " N"]:
    """Return where the N = H * W codes stand in a frame's F tokens, row-major; row ends are left out."""
    rows = torch.arange(height)[:, None] * (width + 1)
    return (_HEAD + rows + torch.arange(width)).flatten()


def content_positions(height: int, width: int) -> Int[Tensor, " P"]:
    """Return where the P = H * (W + 1) content tokens (codes and row ends) stand in a frame's F tokens."""
    return torch.arange(height * (width + 1)) + _HEAD


def video_header(vocab: Vocab, *, fps: int, duration: int) -> Int[Tensor, "3"]:
    """Return the ids VSTART dur fps, with which the answer begins."""
    return torch.tensor([vocab.video_start, vocab.number(duration), vocab.number(fps)])


def frame_ids(ids: Int[Tensor, "*T H W"], vocab: Vocab) -> Int[Tensor, "*T F"]:
    """Return the tokens of frames whose grids hold the token `ids` (visual ids or mask tokens, not codes).

    A 1 x 2 grid [[a, b]] would give FSTART hgrid wgrid a b ROWEND FEND.

    Raises:
        ValueError: H or W is not a multiple of 4 (32 pixels), so that no grid token says it.
    """
    *leading, height, width = ids.shape
    for name, size in (("height", height), ("width", width)):
        if size % _GRID_CODES or size == 0:
            raise ValueError(f"latent {name} is {size}; it must be a multiple of {_GRID_CODES} (frames of 32 pixels)")
    start = [vocab.frame_start, vocab.number(height // _GRID_CODES), vocab.number(width // _GRID_CODES)]
    head = torch.tensor(start, device=ids.device).expand(*leading, _HEAD)
    row_ends = torch.full((*leading, height, 1), vocab.row_end, device=ids.device)
    content = torch.cat([ids.long(), row_ends], dim=-1).flatten(-2)
    tail = torch.full((*leading, 1), vocab.frame_end, device=ids.device)
    return torch.cat([head, content, tail], dim=-1)


def sequence_of(
    prompt_ids: Int[Tensor, " L0"], codes: Int[Tensor, "T H W"], *, vocab: Vocab, fps: int, duration: int
) -> Int[Tensor, " L"]:
    """Return the ids of one sample: prompt SEP VSTART dur fps F0 ... F(T-1) VEND SEP.

    Raises:
        ValueError: codes out of range, a grid that no grid token says, or a prompt that already holds an answer.
    """
    if codes.numel() == 0 or int(codes.min()) < 0 or int(codes.max()) >= vocab.num_codes:
        raise ValueError(f"codes of shape {tuple(codes.shape)} must be non-empty and lie in 0..{vocab.num_codes - 1}")
    if bool((prompt_ids == vocab.video_start).any()):
        raise ValueError("the prompt holds a video start token; pass only the ids before the separator")
    end = torch.tensor([vocab.separator])
    header = video_header(vocab, fps=fps, duration=duration)
    frames = frame_ids(vocab.code_ids(codes), vocab).flatten()
    return torch.cat([prompt_ids.long(), end, header, frames, torch.tensor([vocab.video_end]), end])


def split_sequence(ids: Int[Tensor, " L"], vocab: Vocab) -> tuple[Int[Tensor, " L0"], Int[Tensor, "T H W"], int, int]:
    """Return (prompt ids, codes, fps, duration) of a whole sequence: the inverse of `sequence_of`.

    Raises:
        ValueError: the ids do not follow the layout; the message says where.
    """
    starts = (ids == vocab.video_start).nonzero().flatten().tolist()
    if len(starts) != 1 or starts[0] == 0 or int(ids[starts[0] - 1]) != vocab.separator:
        raise ValueError(f"a sample has one video start {vocab.video_start}, after a separator; found it at {starts}")
    begin = starts[0]
    answer = ids[begin:].tolist()
    if len(answer) < 3 + _HEAD or answer[-2:] != [vocab.video_end, vocab.separator]:
        raise ValueError(
            f"the sample does not end with {vocab.video_end} {vocab.separator}: it is cut or of another kind"
        )
    duration, fps = vocab.number_of(answer[1]), vocab.number_of(answer[2])
    height, width = (vocab.number_of(answer[k]) * _GRID_CODES for k in (4, 5))
    frames = ids[begin + 3 : -2].long()
    tokens_per_frame = height * (width + 1) + _HEAD + 1
    if len(frames) % tokens_per_frame:
        raise ValueError(f"{len(frames)} frame tokens are no whole number of frames of {tokens_per_frame} tokens each")
    frames = frames.view(-1, tokens_per_frame)
    grid = frames[:, frame_content(height, width)].view(-1, height, width)
    if not bool(vocab.is_code(grid).all()) or not torch.equal(frame_ids(grid, vocab), frames):
        raise ValueError(f"a frame does not follow FSTART {answer[4]} {answer[5]} (codes, ROWEND) FEND")
    return ids[: begin - 1].long(), vocab.codes_of(grid), fps, duration


def fill_placeholders(prompt_ids: Int[Tensor, " L0"], *, vocab: Vocab, frames: int, fps: int) -> Int[Tensor, " L1"]:
    """Return the prompt with its frames and fps placeholders written as digits.

    Ids from the video start on, where the placeholders' ids are visual codes, are left alone.
    """
    text = {vocab.frames_placeholder: vocab.digits(frames), vocab.fps_placeholder: vocab.digits(fps)}
    filled: list[int] = []
    all_ids = prompt_ids.tolist()
    end = all_ids.index(vocab.video_start) if vocab.video_start in all_ids else len(all_ids)
    for token_id in all_ids[:end]:
        filled.extend(text.get(token_id, [token_id]))
    return torch.tensor(filled + all_ids[end:], dtype=torch.long)


def blocks_of(ids: Int[Tensor, "B L"], vocab: Vocab) -> Int[Tensor, "B L"]:
    """Return the block number of every token: each frame is one block, each other token its own; left padding is -1.

    ::

        ids     pad  <s>  SEP  VSTART dur fps  FSTART h w x ROWEND FEND  FSTART h w x ROWEND FEND  VEND SEP
        blocks   -1    0    1       2   3   4       5 5 5 5      5    5       6 6 6 6      6    6     7   8

    A query may attend to a key iff block[key] <= block[query].
    """
    opens = ~_inside_frame(ids, vocab) | (ids == vocab.frame_start)
    return (opens & _real(ids, vocab)).cumsum(1) - 1


def positions_of(ids: Int[Tensor, "B L"], vocab: Vocab, *, rotary: str = MM_ROPE) -> Int[Tensor, "B 3 L"]:
    """Return the position (t, y, x) of every token (paper section 3.2).

    Outside frame content t = y = x = index in the sequence, counted from the first real token. Content of frame f, row
    r, column c has offset + (4f, 8r, 8c), offset being the index of the first content token; a row end has column W.
    After pad <s> SEP VSTART dur fps FSTART hgrid wgrid the first content token has index 8; with 4 x 4 codes::

        frame row  code   code    code    code    ROWEND
            0   0  8,8,8  8,8,16  8,8,24  8,8,32  8,8,40
            0   1  8,16,8 8,16,16 8,16,24 8,16,32 8,16,40
            1   0  12,8,8 12,8,16 12,8,24 12,8,32 12,8,40

    An ablation counts otherwise (`ROTARIES`): `rope_3d` has offset + (f, r, c), `rope_1d` the index everywhere.
    """
    unit = ROTARIES[rotary].unit
    real = _real(ids, vocab)
    index = (real.cumsum(1) - 1).clamp(min=0)
    if unit == "tokens":
        return index[:, None].expand(-1, 3, -1)
    frame, content, row_length = _frames(ids, vocab)
    first = (ids == vocab.frame_start).int().argmax(1, keepdim=True) + _HEAD
    offset = index.gather(1, first.clamp(max=ids.shape[1] - 1))
    row, column = content // row_length, content % row_length
    time, space = (TEMPORAL_FACTOR, SPATIAL_FACTOR) if unit == "pixels" else (1, 1)
    steps = torch.stack([time * frame, space * row, space * column], dim=1)
    return torch.where((content >= 0)[:, None], offset[:, None] + steps, index[:, None])


def frame_index_of(ids: Int[Tensor, "B L"], vocab: Vocab) -> Int[Tensor, "B L"]:
    """Return the latent frame 0..T-1 of every content token (codes and row ends), -1 elsewhere."""
    frame, content, _ = _frames(ids, vocab)
    return torch.where(content >= 0, frame, -1)


def content_index_of(ids: Int[Tensor, "B L"], vocab: Vocab) -> Int[Tensor, "B L"]:
    """Return the index 0..P-1 of every content token (codes and row ends) in its frame, -1 elsewhere."""
    return _frames(ids, vocab)[1]


def labels_of(ids: Int[Tensor, "B L"], masked: Bool[Tensor, "B L"], vocab: Vocab) -> Int[Tensor, "B L"]:
    """Return the ids to predict: the id where a visual code of a frame is `masked` (True = masked), -100 elsewhere.

    ::

        ids     VSTART  dur  fps FSTART    h    w    a    b ROWEND FEND
        masked       .    .    .      .    .    .    x    .      x    .
        labels    -100 -100 -100   -100 -100 -100    a -100   -100 -100
    """
    answer = masked & vocab.is_code(ids) & (content_index_of(ids, vocab) >= 0)
    return torch.where(answer, ids.long(), IGNORED_LABEL)


def _real(ids: Tensor, vocab: Vocab) -> Tensor:
    """Return a mask, True from the first token of a row that is not padding."""
    return (ids != vocab.pad).cumsum(1) > 0


def _inside_frame(ids: Tensor, vocab: Vocab) -> Tensor:
    """Return a mask, True from FSTART to FEND inclusive."""
    ends = ids == vocab.frame_end
    return ((ids == vocab.frame_start).cumsum(1) - ends.cumsum(1) + ends.long()) > 0


def _frames(ids: Tensor, vocab: Vocab) -> tuple[Tensor, Tensor, Tensor]:
    """Return (frame index of the latest frame, index in the content or -1, W + 1 of that frame), each [B, L].

    Only FSTART, FEND and the grid tokens are looked at, so content may be masked anywhere.
    """
    column = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    starts = ids == vocab.frame_start
    latest = torch.where(starts, column, -1).cummax(1).values
    inside = _inside_frame(ids, vocab) & (ids != vocab.frame_end)
    content = torch.where(inside, (column - latest - _HEAD).clamp(min=-1), -1)
    wgrid = ids.gather(1, (latest + 2).clamp(0, ids.shape[1] - 1)).long() - vocab.number_base
    row_length = torch.where(content >= 0, wgrid * _GRID_CODES + 1, 1)
    return starts.cumsum(1) - 1, content, row_length
