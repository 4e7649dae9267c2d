"""The published shapes of the released models, for arithmetic where their `config.json` is not here."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lumos.hub.models import RELEASED

_LLAMA: Mapping[str, Any] = {
    "vocab_size": 129536,
    "num_key_value_heads": 8,
    "intermediate_size": 8192,
    "max_position_embeddings": 65536,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "initializer_range": 0.02,
}

ARCHITECTURES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "1B": {**_LLAMA, "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32},
        "3B": {**_LLAMA, "hidden_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 24},
    }
)
"""Class -> fields of LumosConfig, as configs/model has them; the `config.json` of a checkpoint rules."""


def architecture_of(name: str | Path) -> Mapping[str, Any] | None:
    """Return the fields of a released model, by its name (`1B/stage-2-joint`) or a path that ends so; else None."""
    released = "/".join(Path(name).parts[-2:])
    return ARCHITECTURES[released.partition("/")[0]] if released in RELEASED else None
