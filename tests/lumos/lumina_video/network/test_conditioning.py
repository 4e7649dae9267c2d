"""Embeddings of time and motion."""

import math

import pytest
import torch

from lumos.lumina_video.network.conditioning import ScalarEmbedder, motion_embedding, sinusoid


def test_cosines_come_first() -> None:
    found = sinusoid(torch.tensor([0.0, 2.0]))
    assert found.shape == (2, 256)
    assert found[0].tolist() == [1.0] * 128 + [0.0] * 128
    frequency = 10000 ** (-3 / 128)
    assert found[1, 3].item() == pytest.approx(math.cos(2 * frequency), abs=1e-6)
    assert found[1, 131].item() == pytest.approx(math.sin(2 * frequency), abs=1e-6)


def test_sinusoids_of_half_precision_are_fp32() -> None:
    found = sinusoid(torch.tensor([371.0], dtype=torch.bfloat16))
    assert found.dtype == torch.float32
    assert torch.equal(found, sinusoid(torch.tensor([371.0]).bfloat16().float()))


def test_the_product_with_the_factor_is_made_in_the_dtype_of_the_values() -> None:
    embedder = ScalarEmbedder(5, factor=1000.0)
    t = torch.tensor([0.37]).bfloat16()
    assert torch.equal(embedder(t), embedder.mlp(sinusoid((t.double() * 1000).bfloat16())))
    assert not torch.equal(embedder(t), embedder(t.float()))


def test_a_negative_motion_score_embeds_to_exactly_zero() -> None:
    embedder = ScalarEmbedder(5, factor=20.0)
    found = motion_embedding(embedder, torch.tensor([-1.0, 0.0, 6.5, -0.5]))
    assert found[[0, 3]].abs().max() == 0
    assert torch.equal(found[1:3], embedder(torch.tensor([0.0, 6.5])))
    found[0].sum().backward()
    assert embedder.mlp[2].bias.grad.abs().max() == 0
