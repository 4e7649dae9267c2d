"""The layers of Lumos-1 that adapters (LoRA) are added to; how they work is in `xllmx.lora`."""

from dataclasses import dataclass
from typing import ClassVar

from xllmx.lora_config import AdapterConfig

LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear layers of a block."""


@dataclass(frozen=True, kw_only=True)
class LoRAConfig(AdapterConfig):
    """Whether and how adapters are trained instead of the weights."""

    LINEARS: ClassVar[tuple[str, ...]] = LINEARS

    targets: tuple[str, ...] = LINEARS
    """Layers of every block that get an adapter."""
