"""Small models with the weights of the golden numbers: every tensor follows from its name."""

import json
import zlib

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sequence import sequence_of
from lumos.tokenizer.vocab import Vocab

TINY_VOCAB = Vocab(
    frame_end=4, frame_start=5, separator=6, row_end=7, number_base=8, num_numbers=12, mask=20, video_start=21,
    video_end=22, digit_base=23, code_base=70, num_codes=27, size=97,
)  # fmt: skip


def golden_weight(name: str, shape: list[int]) -> torch.Tensor:
    """Return the tensor that tests/golden/README.md gives to `name`."""
    x = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF).standard_normal(shape).astype(np.float32)
    if "norm" not in name:
        return torch.from_numpy(np.float32(0.02) * x)
    return torch.from_numpy(np.float32(0.1) * x + np.float32(1 if name.endswith("weight") else 0))


def tiny_config(**changes) -> LumosConfig:
    """Return a config of a model of a few thousand parameters; heads of 12 channels, no two sizes equal."""
    fields = {
        "vocab_size": TINY_VOCAB.size,
        "vocab": TINY_VOCAB.to_dict(),
        "hidden_size": 48,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    return LumosConfig(**{**fields, **changes})


def with_golden_weights(config: LumosConfig) -> LumosForCausalLM:
    model = LumosForCausalLM(config)
    weights = {name: golden_weight(name, list(tensor.shape)) for name, tensor in model.state_dict().items()}
    model.load_state_dict(weights, strict=True)
    return model.eval()


@pytest.fixture
def make_config():
    return tiny_config


@pytest.fixture
def make_model():
    """Build a tiny model from changed config fields."""
    return lambda **changes: with_golden_weights(tiny_config(**changes))


@pytest.fixture
def vocab() -> Vocab:
    return TINY_VOCAB


@pytest.fixture
def sample():
    """Make the ids of a sample in the tiny vocabulary."""

    def make(*, num_prompt_ids=4, grid=(2, 4, 8)) -> torch.Tensor:
        generator = torch.Generator().manual_seed(num_prompt_ids)
        prompt = torch.randint(24, 70, (num_prompt_ids,), generator=generator)
        codes = torch.randint(0, TINY_VOCAB.num_codes, grid, generator=generator)
        return sequence_of(prompt, codes, vocab=TINY_VOCAB, fps=6, duration=2)

    return make


@pytest.fixture
def left_padded():
    """Stack rows of ids, shorter ones padded on the left."""
    return lambda rows: pad_sequence(rows, batch_first=True, padding_value=TINY_VOCAB.pad, padding_side="left")


@pytest.fixture(scope="session")
def released(golden) -> LumosForCausalLM:
    """The model A of the golden numbers, under the released names and ids."""
    fields = json.loads((golden / "configs.json").read_text())["A"]
    model = LumosForCausalLM(LumosConfig(**fields["config"]))
    weights = {name: golden_weight(name, shape) for name, shape in fields["state_dict"].items()}
    model.load_state_dict(weights, strict=True)
    return model.eval()
