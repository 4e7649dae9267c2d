"""Fresh weights: which are zero, which are drawn, and by what rule."""

import math
from typing import Any

import pytest
import torch

from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.dit import MultiScaleNextDiT

CONFIG = LuminaVideoConfig(
    all_patch_size=(2, 4),
    all_f_patch_size=(1, 2),
    in_channels=3,
    dim=96,
    n_layers=2,
    n_heads=3,
    n_kv_heads=1,
    multiple_of=40,
    qk_norm=True,
    cap_feat_dim=44,
)


@pytest.fixture(scope="module")
def fresh() -> MultiScaleNextDiT:
    model = MultiScaleNextDiT(CONFIG)
    for parameter in model.parameters():
        parameter.data.fill_(float("nan"))
    model.init_weights(torch.Generator().manual_seed(3))
    return model


@pytest.mark.parametrize("scale", ["1x2", "2x4"])
def test_a_fresh_network_returns_exactly_zero(fresh: MultiScaleNextDiT, scale: str) -> None:
    output = fresh(torch.randn(2, 3, 2, 4, 8), torch.rand(2), torch.randn(2, 5, 44), motion=torch.ones(2), scale=scale)
    assert output.shape == (2, 3, 2, 4, 8)
    assert output.abs().max() == 0


def test_zero_are_modulation_gates_and_last_layers_alone(fresh: MultiScaleNextDiT) -> None:
    zero = {name for name, parameter in fresh.named_parameters() if parameter.abs().max() == 0}
    layers = [f"layers.{i}." for i in range(2)]
    weights = {f"{layer}adaLN_modulation.1.weight" for layer in layers} | {f"{layer}attention.gate" for layer in layers}
    weights |= {
        f"all_final_layer.{name}.{part}.weight" for name in ("2-1", "4-2") for part in ("linear", "adaLN_modulation.1")
    }
    weights |= {"cap_embedder.1.weight", "motion_embedder.mlp.2.weight"}
    assert zero == weights | {name for name, _ in fresh.named_parameters() if name.endswith("bias")}


def test_norms_are_one(fresh: MultiScaleNextDiT) -> None:
    ones = {name for name, parameter in fresh.named_parameters() if (parameter == 1).all()}
    norms = {name for name, _ in fresh.named_parameters() if "norm" in name and name.endswith("weight")}
    assert ones == norms | {"cap_embedder.0.weight"}
    assert len(norms) == 2 * 8


@pytest.mark.parametrize(
    "name", ["layers.0.attention.wk.weight", "layers.1.feed_forward.w2.weight", "all_x_embedder.4-2.weight"]
)
def test_products_are_drawn_evenly_within_the_bound_of_xavier(fresh: MultiScaleNextDiT, name: str) -> None:
    weight = fresh.get_parameter(name)
    bound = math.sqrt(6 / sum(weight.shape))
    assert 0.98 * bound < weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize(
    "name", ["t_embedder.mlp.0.weight", "t_embedder.mlp.2.weight", "motion_embedder.mlp.0.weight", "pad_token"]
)
def test_embedders_are_normal(fresh: MultiScaleNextDiT, name: str) -> None:
    weight = fresh.get_parameter(name)
    assert weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert weight.abs().max() > 0.04


def test_the_same_generator_gives_the_same_weights_in_any_dtype(fresh: MultiScaleNextDiT) -> None:
    half = MultiScaleNextDiT(CONFIG).bfloat16()
    half.init_weights(torch.Generator().manual_seed(3))
    same: dict[str, Any] = dict(fresh.named_parameters())
    assert all(torch.equal(parameter, same[name].bfloat16()) for name, parameter in half.named_parameters())
