"""Decoding a clip latent frame by latent frame, in memory that does not grow with its length.

    decode = visual.stream()
    for codes in latent_frames:          # [B, 1, H, W]
        show(decode(codes))              # the frames that this one finishes: 1, and then 4 each time

A decoder exported here looks back by its causal convolutions in time alone, two inputs each. Those inputs are all that
has to be carried, so a frame costs what it costs within a clip, and is the same. The weights are those of
`decoder.jit`: the modules of the program are called one by one. Any other decoder is run again on the latent frames
before.
"""

import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from lumos.tokenizer.answers import check_pixels, run_half
from lumos.tokenizer.haar import haar_unpatch

DecodingStream = Callable[[Tensor], Tensor]
"""The next latent frames [B, t, H, W] of a clip -> the frames [B, 3, f, Hpx, Wpx] that they finish, fp32."""

_SIDE, _FRAMES = 8, 4
"""Pixels a code, each way, and frames a latent frame."""
_PROBE = (1, 3, 4, 4)
"""Of the codes [B, T, H, W] on which both ways of decoding must agree."""


class CarriedDecoding:
    """Decodes with the state of a program's convolutions carried from one latent frame to the next."""

    def __init__(self, program: torch.jit.ScriptModule, source: Path) -> None:
        """Begin a clip; `source` is the program's file, for errors."""
        self._program, self._source = program, source
        self._past: dict[str, Tensor] = {}
        self._has_begun = False

    @torch.inference_mode()
    def __call__(self, codes: Int[Tensor, "B t H W"]) -> Float[Tensor, "B 3 f Hpx Wpx"]:
        """Return the frames that the next latent frames finish, fp32, about [-1, 1].

        Raises:
            ValueError: the decoder gives no such pixels.
        """
        pixels = run_half(self._next, codes, self._source)
        _check(pixels, codes, is_first=not self._has_begun)
        self._has_begun = True
        return pixels.float()

    def _next(self, codes: Tensor) -> Tensor:
        decoder = self._program.decoder
        x = decoder.project(self._program.fsq.values(codes).to(decoder.project.weight.dtype).permute(0, 4, 1, 2, 3))
        for name, layer in decoder.layers.named_children():
            if layer.original_name == "CausalConv":
                x = self._conv(layer, x, name)
            elif layer.original_name == "ResBlock":
                x = self._block(layer, x, name)
            else:  # frame by frame
                x = layer(x)
        video = haar_unpatch(x / decoder.gains.to(x.dtype))
        return video if self._has_begun else video[:, :, _FRAMES - 1 :]  # the copies of the first frame

    def _block(self, block: torch.jit.ScriptModule, x: Tensor, name: str) -> Tensor:
        h = self._conv(block.conv1, F.silu(block.norm1(x)), f"{name}.conv1")
        h = self._conv(block.conv2, F.silu(block.norm2(h)), f"{name}.conv2")
        return block.skip(x) + h

    def _conv(self, conv: torch.jit.ScriptModule, x: Tensor, name: str) -> Tensor:
        if conv.time_first:
            return conv.space(self._over_time(conv, x, name))
        return self._over_time(conv, conv.space(x), name)

    def _over_time(self, conv: torch.jit.ScriptModule, x: Tensor, name: str) -> Tensor:
        if conv.history == 0:
            return conv.time(x)
        past = self._past.get(name)
        if past is None:
            past = x[:, :, :1].expand(-1, -1, conv.history, -1, -1)
        seen = torch.cat([past, x], dim=2)
        self._past[name] = seen[:, :, -conv.history :].clone()  # not a view, which would keep all of it
        return conv.time(seen)


class RepeatedDecoding:
    """Decodes the latent frames before again with each new one: all of them, which is exact, or a window of them."""

    def __init__(self, program: torch.jit.ScriptModule, source: Path, *, history: int | None) -> None:
        """Begin a clip; `history` is how many latent frames before are decoded again, None: all."""
        self._program, self._source, self._history = program, source, history
        self._before: Tensor | None = None

    @torch.inference_mode()
    def __call__(self, codes: Int[Tensor, "B t H W"]) -> Float[Tensor, "B 3 f Hpx Wpx"]:
        """Return the frames that the next latent frames finish, fp32, about [-1, 1].

        Raises:
            ValueError: the decoder gives no such pixels.
        """
        is_first = self._before is None
        seen = codes if self._before is None else torch.cat([self._before, codes], dim=1)
        pixels = run_half(self._program, seen, self._source)
        _check(pixels, seen, is_first=True)
        kept = seen.shape[1] if self._history is None else min(self._history, seen.shape[1])
        self._before = seen[:, seen.shape[1] - kept :].clone()
        return pixels[:, :, pixels.shape[2] - _num_frames(codes.shape[1], is_first=is_first) :].float()


def carries_state(program: torch.jit.ScriptModule) -> bool:
    """Whether the state of a decoder can be carried: its modules are ours, and decode a clip as the whole does."""
    names = ("temporal_reach", "decoder", "fsq")
    if program.original_name != "DecoderHalf" or not all(hasattr(program, name) for name in names):
        return False
    stream = CarriedDecoding(program, Path())
    try:
        weight = program.decoder.project.weight
        num_codes = int(program.fsq.levels.prod())
        codes = torch.arange(math.prod(_PROBE)).mul(7919).remainder(num_codes).view(_PROBE).to(weight.device)
        parts = torch.cat([stream(part) for part in codes.split(1, dim=1)], dim=2)
        whole = run_half(program, codes, Path()).float()
    except (ValueError, AttributeError):  # of the same names, but other modules
        return False
    rounding = 1e-3 if weight.dtype == torch.float32 else 0.1
    return whole.shape == parts.shape and bool((whole - parts).abs().max() <= rounding * whole.abs().max().clamp(min=1))


def _num_frames(num_latent: int, *, is_first: bool) -> int:
    return _FRAMES * num_latent - (_FRAMES - 1 if is_first else 0)


def _check(pixels: Tensor, codes: Tensor, *, is_first: bool) -> None:
    batch, num_latent, height, width = codes.shape
    frames = _num_frames(num_latent, is_first=is_first)
    check_pixels(pixels, (batch, 3, frames, _SIDE * height, _SIDE * width))
