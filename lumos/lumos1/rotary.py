"""What turns the channels of a head: MM-RoPE, and the two that the paper compares it with (section 3.2).

A rotary variant is a table of channels and a unit of positions. Text turns alike under all of them, for its t, y and x
are all its index in the sequence.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

# One group of 16 channels: 4 follow time, 6 the row, 6 the column.
_GROUP = "ttttyyxxyyxxyyxx"
_AXES = {"t": 0, "y": 1, "x": 2}


@dataclass(frozen=True, kw_only=True)
class Rotary:
    """One way to turn queries and keys by the positions of their tokens."""

    channels: Literal["spread", "in_blocks"]
    """Which axis a pair of channels follows. `spread`: every group of 16 has all three, so each axis has fast and slow
    channels. `in_blocks`: as many, but time has all the fast ones, then come rows, and columns have the slow ones."""
    unit: Literal["pixels", "codes", "tokens"]
    """What the content of frames is counted in: its place in the clip before compression, its place among the codes, or
    the tokens before it, which knows neither row nor frame."""


MM_ROPE = "mm_rope"
"""What the released models have."""
ROTARIES = {
    MM_ROPE: Rotary(channels="spread", unit="pixels"),
    "rope_3d": Rotary(channels="in_blocks", unit="codes"),
    "rope_1d": Rotary(channels="spread", unit="tokens"),
}
"""By the name that `LumosConfig.rotary` takes. All but `mm_rope` are ablations (exps/ABLATIONS.md)."""


def axis_of_channel(head_dim: int, *, rotary: str = MM_ROPE) -> Int[Tensor, " E"]:
    """Return the axis (0 = t, 1 = y, 2 = x) that each channel of a head follows.

    Channels c and c + E/2 rotate together, so the pattern repeats in both halves; of 32 channels::

        mm_rope    ttttyyxxyyxxyyxx ttttyyxxyyxxyyxx
        rope_3d    ttttyyyyyyxxxxxx ttttyyyyyyxxxxxx

    In heads of no multiple of 32 channels, which no released model has, the halves still rotate together. The table of
    `rope_1d` is read by nothing, for its positions are alike on all axes.
    """
    group = torch.tensor([_AXES[axis] for axis in _GROUP])
    pairs = group[torch.arange(head_dim // 2) % len(_GROUP)]
    if ROTARIES[rotary].channels == "in_blocks":
        pairs = pairs.sort().values
    return pairs.repeat(2)
