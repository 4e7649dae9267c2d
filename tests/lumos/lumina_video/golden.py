"""The recipes of tests/golden/lumina: noise, weights and texts that follow from their names."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def noise(name: str, shape: Sequence[int]) -> Tensor:
    """The normal numbers, fp32, that a name stands for."""
    seed = zlib.crc32(name.encode()) & 0xFFFFFFFF
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(tuple(shape)).astype(np.float32))


def weights(entry: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict of one config of `configs.json`."""
    made = {name: weight(name, shape) for name, shape in entry["state_dict"].items()}
    for part, factor in entry["weight_factor"].items():
        for name in made:
            if part in name:
                made[name] = made[name] * np.float32(factor)
    return made


def weight(name: str, shape: Sequence[int]) -> Tensor:
    """One weight, before any `weight_factor`."""
    x = noise(name, shape)
    if "norm" in name:
        return 1 + 0.1 * x if name.endswith("weight") else 0.1 * x
    return x * (np.float32(1 / np.sqrt(shape[1])) if len(shape) == 2 else np.float32(0.3))


def text(tag: str, lengths: Sequence[int], *, padded_to: int, width: int, factor: float = 1.0) -> tuple[Tensor, Tensor]:
    """Features [items, padded_to, width] and their mask, True for the first `lengths[i]` tokens of item i."""
    features = noise(f"{tag}/text", (len(lengths), padded_to, width)) * np.float32(factor)
    return features, torch.arange(padded_to)[None] < torch.tensor(lengths)[:, None]
