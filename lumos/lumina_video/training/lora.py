"""The layers of Lumina-Video that adapters (LoRA) are added to; how they work is in `xllmx.lora`."""

from dataclasses import dataclass
from typing import ClassVar

from xllmx.lora_config import AdapterConfig

LINEARS = ("wq", "wk", "wv", "wk_y", "wv_y", "wo", "w1", "w2", "w3")
"""The linear layers of a block: attention to the video and to the text, feed-forward."""


@dataclass(frozen=True, kw_only=True)
class LoRAConfig(AdapterConfig):
    """Whether and how adapters are trained instead of the weights."""

    LINEARS: ClassVar[tuple[str, ...]] = LINEARS

    targets: tuple[str, ...] = LINEARS
    """Layers of every block that get an adapter."""
