"""The settings of the network: defaults, derived sizes, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lumos.lumina_video.config import PRESETS, LuminaVideoConfig
from lumos.lumina_video.scale import Scale


def tiny(**changes: Any) -> LuminaVideoConfig:
    return LuminaVideoConfig(**{"dim": 96, "n_heads": 3, "n_layers": 2, **changes})


def test_defaults_are_those_of_the_released_code() -> None:
    config = LuminaVideoConfig()
    assert config.scales == (Scale(frames=2, pixels=2),)
    assert (config.dim, config.n_layers, config.n_heads, config.num_kv_heads) == (4096, 32, 32, 32)
    assert (config.rope_theta, config.t_scale, config.motion_scale, config.norm_eps) == (10000, 1, 1, 1e-5)
    assert (config.in_channels, config.multiple_of, config.cap_feat_dim, config.qk_norm) == (4, 256, 5120, False)


def test_the_released_model_has_the_sizes_of_its_recipe() -> None:
    config = LuminaVideoConfig.named("MultiScaleNextDiT_2B_GQA")
    assert [str(scale) for scale in config.scales] == ["1x2", "2x2", "2x4"]
    assert (config.head_dim, config.num_kv_heads, config.ffn_width, config.conditioning_width) == (144, 8, 6144, 1024)
    assert (config.rope_theta, config.t_scale, config.motion_scale) == (256, 1000, 20)


@pytest.mark.parametrize(
    ("fields", "width"),
    [
        ({"dim": 48, "n_heads": 3, "multiple_of": 24}, 144),
        ({"dim": 64, "n_heads": 4, "multiple_of": 40}, 200),
        ({"dim": 96, "n_heads": 3, "multiple_of": 28, "ffn_dim_multiplier": 0.75}, 196),
        ({"dim": 1040, "n_heads": 13}, 2816),
    ],
)
def test_feed_forward_width_is_rounded_up(fields: dict[str, Any], width: int) -> None:
    assert LuminaVideoConfig(**fields).ffn_width == width


def test_conditioning_is_at_most_1024_wide() -> None:
    assert tiny().conditioning_width == 96
    assert tiny(dim=1040, n_heads=13).conditioning_width == 1024


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_survives_json(name: str) -> None:
    config = PRESETS[name]
    read = LuminaVideoConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert read == config
    assert hash(read) == hash(config)


def test_golden_configs_are_read(golden_lumina: Path) -> None:
    configs = json.loads((golden_lumina / "configs.json").read_text())
    config = LuminaVideoConfig.from_dict(configs["C"]["config"])
    assert config.all_patch_size == (4, 2)
    assert config.to_dict() == configs["C"]["config"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_layer": 2}, "unknown setting model.n_layer; did you mean model.n_layers"),
        ({"dim": "64"}, "model.dim is '64'; it must be a whole number"),
        ({"all_patch_size": 2}, "model.all_patch_size is 2; it must be a list"),
    ],
)
def test_a_file_with_a_slip_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LuminaVideoConfig.from_dict(fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dim": 100}, r"dim is 100 and must be a multiple of 48 .*; 96 would do"),
        ({"dim": 16}, r"dim is 16 and must be a multiple of 48 .*; 48 would do"),
        ({"n_kv_heads": 2}, "n_kv_heads is 2 and must divide n_heads = 3; take one of 1, 3"),
        ({"n_layers": 0}, "n_layers is 0; it must be a whole number of at least 1"),
        ({"norm_eps": 0.0}, "norm_eps is 0.0; it must be a number above 0"),
        ({"t_scale": float("nan")}, "t_scale is nan; it must be a number above 0"),
        ({"all_patch_size": [2, 4]}, "all_patch_size has 2 entries and all_f_patch_size 1"),
        ({"all_patch_size": [], "all_f_patch_size": []}, "one at least"),
        ({"all_patch_size": [2, 2], "all_f_patch_size": [1, 1]}, "the scale 1x2 .* is listed twice"),
        ({"all_patch_size": [0], "all_f_patch_size": [1]}, r"all_patch_size\[0\] is 0"),
    ],
)
def test_what_no_model_can_have_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**fields)


def test_a_scale_is_found_by_either_spelling_or_refused_with_those_there_are() -> None:
    config = replace(tiny(), all_patch_size=[2, 4], all_f_patch_size=[1, 2])
    assert config.scale("2x4") == config.scale("4-2") == config.scale(Scale(frames=2, pixels=4))
    with pytest.raises(ValueError, match=r"scale is 2x2 \(frames x pixels\), which this model .*choose of 1x2, 2x4"):
        config.scale("2x2")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean MultiScaleNextDiT_2B_GQA"):
        LuminaVideoConfig.named("MultiScaleNextDiT_2B_GQQ")
    with pytest.raises(ValueError, match="known are MultiScaleNextDiT_2B_GQA, MultiScaleNextDiT_2B, "):
        LuminaVideoConfig.named("x")
