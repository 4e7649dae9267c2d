"""Models for the tests of this folder: one with the golden weights, and a tiny one with a vocabulary of its own."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from tests.tiny_data import VOCAB


def golden_tensor(name: str, shape: list[int]) -> torch.Tensor:
    """The weight that tests/golden/README.md derives from a name."""
    seed = zlib.crc32(name.encode()) & 0xFFFFFFFF
    x = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
    mean, scale = (float(name.endswith("weight")), 0.1) if "norm" in name else (0.0, 0.02)
    return torch.from_numpy((mean + scale * x).astype(np.float32))


@pytest.fixture(scope="session")
def golden_model(golden: Path) -> LumosForCausalLM:
    """Configuration A of tests/golden with its weights; leave it unchanged."""
    stored = json.loads((golden / "configs.json").read_text())["A"]
    weights = {name: golden_tensor(name, shape) for name, shape in stored["state_dict"].items()}
    return LumosForCausalLM.from_weights(LumosConfig(**stored["config"]), weights)


@pytest.fixture(scope="session")
def tiny_config() -> LumosConfig:
    return LumosConfig(
        vocab=VOCAB,
        vocab_size=VOCAB["size"],
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=400,
        initializer_range=0.3,
    )


@pytest.fixture(scope="session")
def tiny_model(tiny_config: LumosConfig) -> LumosForCausalLM:
    """A random model whose logits differ enough for a changed token to show; leave it unchanged."""
    model = LumosForCausalLM(tiny_config).eval()
    model.reset_parameters(generator=torch.Generator().manual_seed(1))
    return model
