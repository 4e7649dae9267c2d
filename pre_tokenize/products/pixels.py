"""What is decoded of an item, before the network sees it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """What is decoded of an item."""

    frames: UInt8[np.ndarray, "F H W 3"] | Float32[np.ndarray, "F H W 3"]
    """As the network takes them."""
    seconds: float = 0.0
    """How long the source is; 0 where nobody asks."""


Decode = Callable[[Pixels, Tensor], Tensor]
"""The first frames [1, 3, G, H, W] in [-1, 1] of what the network gave for some pixels."""
