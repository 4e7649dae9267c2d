"""One branch of the guidance of one clip: its text and the frames after it, over a cache of its own."""

import torch
from jaxtyping import Int
from torch import Tensor

from lumos.lumos1.model.attention import AttentionLayout, frame_layout, layout_of
from lumos.lumos1.model.cache import KVCache
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.packed import Pass
from lumos.lumos1.model.rope import Rotation
from lumos.lumos1.sampling.frames.frame_tokens import FrameTokens
from lumos.lumos1.sequence import blocks_of, positions_of


class Branch:
    """The passes of one sequence, to be run with those of others (`packed_hidden`)."""

    def __init__(
        self,
        model: LumosForCausalLM,
        text: Int[Tensor, " L"],
        *,
        tokens: FrameTokens,
        num_latent_frames: int,
        num_in_sight: int,
    ) -> None:
        """Compute nothing yet; memory for keys and values, of `num_in_sight` frames, is taken by the first pass.

        `num_latent_frames` have positions.
        """
        vocab, device, length = model.vocab, model.device, len(tokens.masked)
        whole = torch.cat([text.to(device), tokens.masked.repeat(num_latent_frames)])
        self._model, self._ids, self._frame_length = model, text, length
        self._positions = positions_of(whole[None], vocab, rotary=model.config.rotary)
        self._text_layout = layout_of(blocks_of(text[None], vocab))
        self._frame_layout = frame_layout(1, length, kernels=model.attention_backend)
        self._cache = KVCache(model.config, batch_size=1, capacity=len(text) + num_in_sight * length, dtype=model.dtype)
        self._first = 0  # of the frames that have positions, the one that follows the text
        self._nothing = torch.empty(0, dtype=torch.long, device=device)
        self._rotation: tuple[int, Rotation] | None = None  # of the frame that begins in this column

    def begin(self, first: int) -> None:
        """Forget every frame; the next one follows the text, with the positions of frame `first` of the clip."""
        self._cache.rewind(len(self._ids))
        self._first = first

    def text_pass(self) -> Pass:
        """Return the pass that reads the text."""
        return self._pass(self._ids.to(self._model.device), self._text_layout, only=self._nothing)

    def frame_pass(self, ids: Int[Tensor, " F"], *, only: Int[Tensor, " M"] | None = None) -> Pass:
        """Return a pass over the next frame, of which some columns are wanted; None: none, the cache alone."""
        return self._pass(ids, self._frame_layout, only=self._nothing if only is None else only)

    def keep(self, done: Pass) -> None:
        """Keep the tokens of the last pass."""
        self._cache.advance(len(done.ids))

    def _pass(self, ids: Tensor, layout: AttentionLayout, *, only: Tensor) -> Pass:
        return Pass(ids=ids, rotation=self._rotation_of(len(ids)), layout=layout, cache=self._cache, only=only)

    def _rotation_of(self, length: int) -> Rotation:
        """Return the rotation of the next tokens, made once for all passes over a frame."""
        start = self._cache.length + self._first * self._frame_length
        if self._rotation is None or self._rotation[0] != start:
            self._rotation = start, self._model.model.rotation_of(self._positions[:, :, start : start + length])
        return self._rotation[1]
