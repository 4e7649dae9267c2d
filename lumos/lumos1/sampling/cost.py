"""What generating a clip costs by arithmetic: passes of the model, FLOPs, bytes.

A frame is refined S times in each branch of the guidance, then kept once as history of the next; every pass attends to
all that is kept. Counted are the matrix products, 2 FLOPs a multiply-add, attention among them; the tests compare with
torch's FLOP counter and with the passes that the decoder counts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling.frames.sight import Sight, sights
from lumos.lumos1.sampling.schedule import schedule
from lumos.lumos1.sampling.settings import Settings
from lumos.lumos1.sequence import frame_length

_LOGITS_BYTES = 2**29
"""At most so many bytes of fp32 logits at a time, on a GPU; and some copies of them while codes are drawn."""
_LOGITS_COPIES = 3
_EIGHT_BITS = 1
"""Bytes of a weight in int8 or fp8."""


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One clip to reckon with."""

    settings: Settings
    """Size, length and sampling."""
    num_text_tokens: Sequence[int]
    """What stands before the first frame in each branch that runs, prompt, separator and header; one branch or two."""
    num_given: int = 0
    """Latent frames that are given: they are kept, and not refined."""
    changes: tuple[int, ...] = ()
    """Latent frames at which the prompt changes, to one that is as long."""

    @property
    def refinements(self) -> list[int]:
        """S of each generated frame; adaptive sampling ends earlier."""
        sampler = self.settings.sampler
        num_generated = self.settings.num_latent_frames - self.num_given
        return [sampler.steps_of(first=index == 0) for index in range(num_generated)]

    @property
    def num_passes(self) -> int:
        """Passes of the model over a frame, one for each branch, as `LumosOutput.model_calls` counts them."""
        num_written = sum(len(sight.written) for sight in self.sights)
        return len(self.num_text_tokens) * (sum(self.refinements) + num_written)

    @property
    def sights(self) -> list[Sight]:
        """What each generated frame sees, and what is written before it."""
        frames = range(self.num_given, self.settings.num_latent_frames)
        return list(sights(frames, window=self.settings.window, changes=self.changes))

    @property
    def frame_tokens(self) -> int:
        """F, tokens of a frame."""
        return frame_length(*self.settings.grid)


def pass_flops(config: LumosConfig, tokens: int, *, pairs: int, wanted: int, wanted_pairs: int) -> int:
    """Return the FLOPs of one pass of the blocks.

    All blocks but the last work on all tokens; the last gives its keys and values of all, the rest only of the tokens
    that are `wanted`. `pairs` are those of query and key, `wanted_pairs` those of the wanted queries.
    """
    width, inner = config.hidden_size, config.intermediate_size
    heads, kv = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
    keys, rest = 2 * width * 2 * kv, 2 * (2 * width * heads + 3 * width * inner)
    whole = tokens * (keys + rest) + 4 * heads * pairs
    last = tokens * keys + wanted * rest + 4 * heads * wanted_pairs
    return (config.num_hidden_layers - 1) * whole + last


def generation_flops(config: LumosConfig, clip: Generation) -> int:
    """Return the FLOPs of a clip: text, refinements and history of all branches, and the head over masked codes.

    Both branches are guided before the head, which therefore works once.
    """
    tokens, num_codes = clip.frame_tokens, math.prod(clip.settings.grid)
    texts = sum(
        pass_flops(config, text, pairs=text * (text + 1) // 2, wanted=0, wanted_pairs=0)
        for text in set(clip.num_text_tokens)
    )
    flops = texts * (1 + len(set(clip.changes)))
    for sight, steps in zip(clip.sights, clip.refinements, strict=True):
        masked = schedule(steps, num_codes)
        passes = [*((frame, 0) for frame in sight.written), *((sight.frame, wanted) for wanted in masked)]
        for text in clip.num_text_tokens:
            for frame, wanted in passes:
                keys = text + (frame - sight.first + 1) * tokens
                flops += pass_flops(config, tokens, pairs=tokens * keys, wanted=wanted, wanted_pairs=wanted * keys)
        flops += 2 * sum(masked) * config.hidden_size * config.vocabulary.num_codes
    return flops


def num_parameters(config: LumosConfig) -> tuple[int, int]:
    """Return how many numbers the weights are: (of the blocks' linear layers, of all else)."""
    with torch.device("meta"):
        model = LumosForCausalLM(config)
    linear = sum(weight.numel() for weight in model.model.layers.parameters() if weight.ndim == 2)
    return linear, sum(weight.numel() for weight in model.parameters()) - linear


def weight_bytes(config: LumosConfig, dtype: torch.dtype, *, eight_bits: bool = False) -> int:
    """Return the bytes of the weights in `dtype`; with `eight_bits` one each for those of the blocks' linear layers."""
    linear, rest = num_parameters(config)
    return linear * (_EIGHT_BITS if eight_bits else dtype.itemsize) + rest * dtype.itemsize


def cache_bytes(config: LumosConfig, clip: Generation, dtype: torch.dtype) -> int:
    """Return the bytes of the keys and values of one clip in all its branches."""
    longest = max(clip.num_text_tokens) + clip.settings.num_in_sight * clip.frame_tokens
    numbers = config.num_hidden_layers * 2 * config.num_key_value_heads * config.head_dim
    return len(clip.num_text_tokens) * longest * numbers * dtype.itemsize


def activation_bytes(config: LumosConfig, clip: Generation, dtype: torch.dtype, *, batch_size: int = 1) -> int:
    """Return the bytes that a pass over a frame of so many clips takes at its peak, beside weights and cache.

    It lies in a feed-forward layer (the token, what attention gave, the normed token, three of the inner width) or
    where codes are drawn from the logits, whatever is more.
    """
    tokens = batch_size * len(clip.num_text_tokens) * clip.frame_tokens
    inside = tokens * (3 * config.hidden_size + 3 * config.intermediate_size) * dtype.itemsize
    codes = batch_size * math.prod(clip.settings.grid)
    logits = _LOGITS_COPIES * min(_LOGITS_BYTES, codes * config.vocabulary.num_codes * torch.float32.itemsize)
    return max(inside, logits)
