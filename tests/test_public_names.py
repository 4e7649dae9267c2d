"""The names that others import stay where they are, with the arguments they had: files move, these do not."""

import inspect
from importlib import import_module
from typing import Any

import pytest

import lumos

PUBLIC: dict[str, dict[str, str]] = {
    "imgproc": {"generate_crop_size_list": "num_patches"},
    "lumos.cli": {"main": "arguments"},
    "lumos.lumos1.sequence": {"positions_of": "ids vocab", "blocks_of": "ids vocab"},
    "lumos.lumos1.model.attention": {"frame_causal_mask": "blocks"},
    "lumos.lumos1.ardf": {
        "tube_mask": "num_frames positions_per_frame ratio generator",
        "history_pattern": "positions_per_frame ratio",
    },
    "lumos.lumos1.sampling.decode": {
        "generate_codes": "model prompt_ids grid num_latent_frames fps duration sampler given noise on_frame"
    },
    "lumos.lumos1.sampling.refine": {"NoiseSource": "", "GeneratorNoise": "seed", "NoNoise": ""},
    "lumos.lumos1.data.clips": {"read_released": "path vocab"},
    "lumos.lumos1.config": {
        "LumosConfig": "",
        "SamplerConfig": "num_steps guidance_scale mask_history_ratio confidence_temperature mask_given_frames top_k",
    },
    "lumos.lumina_video.config": {
        "LuminaVideoConfig": "all_patch_size all_f_patch_size in_channels dim n_layers n_heads n_kv_heads"
    },
    "lumos.lumina_video.dit": {"MultiScaleNextDiT": "config"},
    "lumos.lumina_video.flow": {
        "time_grid": "num_points shift",
        "value_at": "schedule t",
        "guide": "positive negatives scales renorm",
        "sample_latents": "model noise preset text text_mask negative_text negative_mask on_step",
        "FlowPreset": "",
    },
    "lumos.lumina_video.training.loss": {
        "velocity_loss": "velocity noise latents cosine_weight first_frame_only",
    },
}
"""Module -> name -> arguments that it takes by name, among others."""


@pytest.mark.parametrize(("module", "name", "arguments"), [
    (module, name, arguments) for module, names in PUBLIC.items() for name, arguments in names.items()
])  # fmt: skip
def test_a_public_name_is_where_it_was_and_takes_what_it_took(module: str, name: str, arguments: str) -> None:
    assert_takes(getattr(import_module(module), name), arguments)


@pytest.mark.parametrize(("method", "arguments"), [
    (lumos.LumosForCausalLM.forward, "input_ids"),
    (lumos.LumosPipeline.from_pretrained, "device dtype"),
    (lumos.LumosPipeline.__call__,
     "prompt image negative_prompt num_frames duration fps width height num_inference_steps guidance_scale "
     "mask_history_ratio generator seed callback"),
    (lumos.LuminaVideoPipeline.from_pretrained, "device dtype"),
    (lumos.LuminaVideoPipeline.__call__, "prompt negative_prompt width height num_frames fps preset seed"),
    (import_module("lumos.lumina_video.dit").MultiScaleNextDiT.forward, "x t text text_mask motion scale"),
])  # fmt: skip
def test_a_public_method_takes_what_it_took(method: Any, arguments: str) -> None:
    assert_takes(method, arguments)


def test_every_public_name_of_the_package_is_loaded_when_asked_for() -> None:
    assert {name for name in lumos.__all__ if not callable(getattr(lumos, name))} == set()
    assert set(lumos.__all__) <= set(dir(lumos))


def assert_takes(callable_: Any, arguments: str) -> None:
    taken = inspect.signature(callable_).parameters
    assert set(arguments.split()) <= set(taken), f"it takes {', '.join(taken)}"
