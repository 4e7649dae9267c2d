"""Clips through the model, frame after frame, over one cache of keys and values: no sampling inside."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lumos.lumos1.model.attention import frame_layout, layout_of
from lumos.lumos1.model.cache import KVCache
from lumos.lumos1.model.graphs import captured
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.rope import Rotation
from lumos.lumos1.model.transformer import columns
from lumos.lumos1.sampling.frames.frame_tokens import FrameTokens
from lumos.lumos1.sequence import blocks_of, positions_of
from lumos.tokenizer.vocab import Vocab

_TEXT_COLUMNS = 256
"""The cache has a multiple of these for the text, so that its strides do not follow the prompt: a plan of an attention
kernel is for one set of sizes and strides."""


class FrameDecoder:
    """Texts of B clips in each branch of the guidance, and frames after them, through the model.

    Sequence b + kB is clip b in branch k; the sequences of a clip differ in their text alone. Texts stand flush right,
    so every frame has the same columns in every sequence; its positions still count from each sequence's own start.
    """

    def __init__(
        self,
        model: LumosForCausalLM,
        branches: Sequence[Sequence[Int[Tensor, "_"]]],
        *,
        grid: tuple[int, int],
        num_latent_frames: int,
        window_frames: int | None = None,
        graphs: bool = False,
    ) -> None:
        """Begin with an empty cache, for `window_frames` at a time (None: all) of the frames that have positions."""
        vocab, device = model.vocab, model.device
        self.visual_weight = model.visual_weight
        """The head's rows of the visual codes, in code order, [C, D]."""
        self.num_clips = len(branches[0])
        """B."""
        self.num_positions = grid[0] * grid[1]
        """N, codes of a frame."""
        self._model = model
        self._tokens = FrameTokens(vocab, grid, device=device)
        self._frame_length = len(self._tokens.masked)
        self._texts = [text for texts in branches for text in texts]
        self._sequences = list(range(len(self._texts)))
        num_tokens = num_latent_frames * self._frame_length
        check_length(self._texts, num_tokens, limit=model.config.max_position_embeddings)
        padded = _padded(self._texts, vocab)
        frames = self._tokens.masked.cpu().repeat(num_latent_frames)
        whole = torch.cat([padded, frames.expand(len(padded), -1)], dim=1)
        self._text_length = padded.shape[1]
        self._positions = positions_of(whole, vocab, rotary=model.config.rotary).to(device)
        in_sight = num_latent_frames if window_frames is None else window_frames
        text_columns = -(-self._text_length // _TEXT_COLUMNS) * _TEXT_COLUMNS
        self._cache = self._new_cache(self._texts, capacity=text_columns + in_sight * self._frame_length)
        self._first = 0  # of the frames that have positions, the one that follows the text
        self._rotation: tuple[int, Rotation] | None = None  # of the frame whose positions begin in this column
        self._num_passes = torch.zeros(len(padded), dtype=torch.long)  # of each sequence, narrowed ones included
        self._graphs: dict[tuple[int, int, int], Callable[[Tensor], Tensor]] | None = {} if graphs else None

    @property
    def model_calls(self) -> Int[Tensor, "B"]:
        """Passes over a frame that were asked for so far, of each clip, those of its branches together."""
        return self._num_passes.unflatten(0, (-1, self.num_clips)).sum(dim=0)

    def read_text(self) -> None:
        """Write the texts into the cache. Equal texts go through the model once."""
        distinct = {tuple(text.tolist()): text for text in self._texts}
        row_of = {key: row for row, key in enumerate(distinct)}
        texts = list(distinct.values())
        ids = _padded(texts, self._model.vocab)
        read = self._new_cache(texts, capacity=self._text_length)
        nothing = torch.empty(len(texts), 0, dtype=torch.long, device=self._model.device)
        layout = replace(layout_of(blocks_of(ids, self._model.vocab)), kernels=self._model.attention_backend)
        self._model.hidden(ids.to(self._model.device), blocks=layout, cache=read, only=nothing)
        read.advance(self._text_length)
        self._cache.copy_rows(read, [row_of[tuple(text.tolist())] for text in self._texts])

    def begin(self, first: int) -> None:
        """Forget every frame; the next one follows the text, with the positions of frame `first` of the clip."""
        self._cache.rewind(self._text_length)
        self._first = first

    def hidden(
        self,
        codes: Int[Tensor, "B N"],
        *,
        positions: Int[Tensor, "B M"] | None = None,
        sequences: Sequence[int] | None = None,
    ) -> Float[Tensor, "R M D"]:
        """Return the hidden states at codes of the next frame, the one after those kept; the cache keeps none of it.

        Args:
            codes: of the whole frame, -1 where masked.
            positions: the codes (0..N-1) that are wanted; None: all.
            sequences: those that are wanted, rising; None: all.
        """
        sequences = self._sequences if sequences is None else list(sequences)
        running = self._running(sequences)
        assert set(sequences) <= set(running)
        self._num_passes[sequences] += 1
        clips = [sequence % self.num_clips for sequence in running]
        code_columns = self._tokens.code_columns
        wanted = code_columns.expand(len(codes), -1) if positions is None else code_columns[positions]
        hidden = self._states(_of_clips(self._tokens.ids(codes), clips), only=_of_clips(wanted, clips))
        if len(running) == len(sequences):
            return hidden
        kept = set(sequences)
        rows = [row for row, sequence in enumerate(running) if sequence in kept]
        return hidden[torch.tensor(rows, device=hidden.device)]

    def keep_frame(self, codes: Int[Tensor, "B N"], *, masked_content: Int[Tensor, "B n"]) -> None:
        """Write the next frame into the cache, as history of those after it, masked at content positions (0..P-1)."""
        ids = self._tokens.history_ids(codes, masked_content)
        nothing = torch.empty(len(self._texts), 0, dtype=torch.long, device=ids.device)
        self._run(ids.repeat(len(self._texts) // self.num_clips, 1), only=nothing)
        self._cache.advance(self._frame_length)
        self._num_passes += 1

    def narrowed(self, sequences: Sequence[int]) -> "FrameDecoder":
        """Return a decoder of these sequences for the next frame alone if that halves what is run for them, else self.

        What is kept of them is copied; passes are counted together. CUDA graphs keep to the memory they were captured
        on: never then.
        """
        if self._graphs is not None or 2 * len(sequences) > len(self._running(sequences)):
            return self
        rows = [self._sequences.index(sequence) for sequence in sequences]
        chosen = copy(self)
        chosen._texts, chosen._sequences = [self._texts[row] for row in rows], list(sequences)
        chosen._positions, chosen._rotation = self._positions[torch.tensor(rows, device=self._positions.device)], None
        chosen._cache = self._new_cache(chosen._texts, capacity=self._cache.capacity)
        chosen._cache.copy_rows(self._cache, rows)
        return chosen

    def _running(self, sequences: Sequence[int]) -> list[int]:
        """Return the sequences that are run where these are wanted: all here, or those of the first branch."""
        if sequences[-1] >= self.num_clips:
            return self._sequences
        return [sequence for sequence in self._sequences if sequence < self.num_clips]

    def _states(self, ids: Tensor, *, only: Tensor) -> Tensor:
        """Return the hidden states in some columns of the next frame; by a CUDA graph where they are asked for."""
        if self._graphs is not None:
            # A graph has fixed shapes: the whole frame, its own for every length of the history.
            key = (self._first, self._cache.length, len(ids))
            if key not in self._graphs:
                self._graphs = {other: graph for other, graph in self._graphs.items() if other[:2] == key[:2]}
                self._frame_rotation()  # by no capture: it is for all of the frame's graphs
                self._graphs[key] = captured(self._run, ids)
            return columns(self._graphs[key](ids), only)
        if ids.device.type == "cpu":
            return self._run(ids, only=only)
        # An attention kernel may plan for each new shape, so the last block has two: half the codes, or the frame.
        spare = -(-self.num_positions // 2) - only.shape[1]
        if spare < 0:
            return columns(self._run(ids), only)
        return self._run(ids, only=F.pad(only, (0, spare)))[:, : only.shape[1]]

    def _run(self, ids: Tensor, *, only: Tensor | None = None) -> Tensor:
        num_rows = len(ids)
        assert self._cache.length >= self._text_length, "the text comes first"
        return self._model.hidden(
            ids,
            positions=Rotation(*(turns[:num_rows] for turns in self._frame_rotation())),
            blocks=frame_layout(num_rows, self._frame_length, kernels=self._model.attention_backend),
            cache=self._cache if num_rows == len(self._texts) else self._cache.first_rows(num_rows),
            only=only,
        )

    def _frame_rotation(self) -> Rotation:
        """Return the rotation of the next frame, made once for all passes over it."""
        start = self._cache.length + self._first * self._frame_length
        if self._rotation is None or self._rotation[0] != start:
            positions = self._positions[:, :, start : start + self._frame_length]
            self._rotation = start, self._model.model.rotation_of(positions)
        return self._rotation[1]

    def _new_cache(self, texts: Sequence[Tensor], *, capacity: int) -> KVCache:
        return KVCache(
            self._model.config,
            batch_size=len(texts),
            capacity=capacity,
            starts=[self._text_length - len(text) for text in texts],
            dtype=self._model.dtype,
        )


def _of_clips(rows: Tensor, clips: list[int]) -> Tensor:
    """Return row `clips[i]` of [B, n] for every i; all of them in order, once a branch, are no look-up."""
    if clips[: len(rows)] == list(range(len(rows))) and len(clips) % len(rows) == 0:
        times = len(clips) // len(rows)
        if clips == clips[: len(rows)] * times:
            return rows.repeat(times, 1)
    return rows[torch.tensor(clips, device=rows.device)]


def _padded(texts: Sequence[Tensor], vocab: Vocab) -> Tensor:
    return pad_sequence(list(texts), batch_first=True, padding_value=vocab.pad, padding_side="left")


def check_length(texts: Sequence[Tensor], num_frame_tokens: int, *, limit: int) -> None:
    """Check that texts with so many tokens of frames behind them fit the model; ValueError that says what to do."""
    longest = max(len(text) for text in texts)
    if longest + num_frame_tokens > limit:
        room = limit - num_frame_tokens
        remedy = f"shorten the prompt to {room} tokens" if room > 0 else "ask for fewer frames or a smaller size"
        raise ValueError(
            f"the prompt has {longest} tokens with its header and the clip {num_frame_tokens}, together over "
            f"max_position_embeddings={limit} of the model: {remedy}"
        )
