"""Settings of a clip: which source wins, what the presets were made for, and how a wrong one is said."""

import json
from pathlib import Path
from typing import Any

import pytest

from lumos.cli.options.spelling import said_as_options
from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.encoding.protocols import SYSTEM_PROMPT
from lumos.lumina_video.preset import PRESETS, FlowPreset
from lumos.lumina_video.settings import (
    LUMOS1_NAMES,
    MADE_FOR,
    SETTING_NAMES,
    LuminaVideoSettings,
    fast_settings,
    preset_of,
    resolve_settings,
)
from lumos.lumina_video.sizes import Compression
from lumos.lumos1.sampling.settings import SETTING_NAMES as NAMES_OF_LUMOS1
from tests.lumos.lumina_video.tiny import DEFAULTS

OWN = {"P": "1x2", "step": 9, "ts": 2.0, "renorm": -1, "cfg": [3, [0.5, 0]], "motion": 4.0, "negMotion": None}
MODEL = {**DEFAULTS, "num_inference_steps": 6, "guidance_scale": 2.0, "motion": 3.0}


def clip_of(settings: LuminaVideoSettings) -> tuple[int, int, int, int]:
    return settings.width, settings.height, settings.num_frames, settings.fps


# --- where a value comes from -----------------------------------------------------------------------------------------


def test_fast_is_the_models_own_settings_or_the_multi_scale_twin_of_its_preset() -> None:
    assert fast_settings({}) == {"preset": "f16F64R512-MultiScale"}
    assert fast_settings({"preset": "f24F96R960"}) == {"preset": "f24F96R960-MultiScale"}
    assert fast_settings({"preset": {"P": "1x2"}, "fast": {"num_inference_steps": 3}}) == {"num_inference_steps": 3}
    with pytest.raises(ValueError, match="this model says no multi-scale preset; give one with --preset FILE"):
        fast_settings({"preset": {"P": "1x2"}})
    with pytest.raises(ValueError, match=r"fast of generation_config.json is 3; it must be settings"):
        fast_settings({"fast": 3})


def test_without_a_word_a_clip_is_the_release_s() -> None:
    settings = resolve_settings({}, {})
    assert clip_of(settings) == (672, 384, 64, 16)
    assert settings.preset == FlowPreset.named("f16F64R512")
    assert settings.system_prompt == SYSTEM_PROMPT
    assert (settings.latent_shape, settings.num_output_frames) == ((16, 48, 84), 64)


@pytest.mark.parametrize("name", PRESETS)
def test_the_clip_is_the_releases_whatever_the_preset_and_that_of_the_preset_may_be_asked_for(name: str) -> None:
    clip = (672, 384, 64, 16)
    assert clip_of(resolve_settings({}, {"preset": name})) == clip
    assert clip_of(resolve_settings({"preset": name}, {})) == clip
    assert clip_of(resolve_settings({}, {"preset": PRESETS[name]})) == clip
    made_for = (1248, 704, 96, 24) if name.startswith("f24") else clip
    assert clip_of(resolve_settings({}, {**MADE_FOR[name], "preset": name})) == made_for


def test_a_preset_of_one_s_own_leaves_the_clip_to_the_rest() -> None:
    assert clip_of(resolve_settings({}, {"preset": OWN})) == (672, 384, 64, 16)
    assert clip_of(resolve_settings({"width": 64, "fps": 5}, {"preset": OWN})) == (64, 384, 64, 5)


def test_given_wins_over_the_model_and_the_model_over_the_release() -> None:
    settings = resolve_settings(DEFAULTS, {"fps": 6, "width": None, "preset": "f24F96R960"})
    assert clip_of(settings) == (64, 96, 8, 6)
    assert settings.preset == FlowPreset.named("f24F96R960")
    assert settings.system_prompt == ""
    assert resolve_settings({**DEFAULTS, "height": None}, {}).height == 384


def test_steps_guidance_and_motion_replace_those_of_the_preset_and_nothing_else() -> None:
    settings = resolve_settings({}, {"num_inference_steps": 10, "guidance_scale": [7, [0.2, 0]], "motion": -1})
    base = FlowPreset.named("f16F64R512")
    assert settings.preset == base.override(num_points=11, guidance=(7, (0.2, 0)), motion=-1)
    assert settings.preset.num_steps == 10
    assert (settings.preset.at(0.1).guidance, settings.preset.at(0.3).guidance) == ((7.0,), (0.0,))


def test_overrides_of_the_model_belong_to_its_own_preset() -> None:
    assert resolve_settings(MODEL, {}).preset == FlowPreset.from_dict(DEFAULTS["preset"]).override(
        num_points=7, guidance=2.0, motion=3.0
    )
    assert resolve_settings(MODEL, {"motion": 5.0}).preset.motion == 5.0
    other = resolve_settings(MODEL, {"preset": OWN, "motion": 5.0}).preset
    assert other == FlowPreset.from_dict(OWN).override(motion=5.0)


def test_seconds_stand_for_frames() -> None:
    assert resolve_settings({}, {"duration": 2}).num_frames == 32
    assert resolve_settings({}, {"duration": 0.5, "fps": 24}).num_frames == 12
    assert resolve_settings(DEFAULTS, {"duration": 4}).num_frames == 16
    assert resolve_settings({}, {"duration": 2, "num_frames": 32}).num_frames == 32


def test_a_preset_may_be_a_name_a_file_its_keys_or_itself(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(OWN))
    (tmp_path / "mine").write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in OWN.items()))
    wanted = FlowPreset.from_dict(OWN)
    assert all(preset_of(form) == wanted for form in (OWN, wanted, file, str(file), tmp_path / "mine"))
    assert preset_of("f24F96R960") == FlowPreset.named("f24F96R960")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"preset": OWN, "num_frames": 12},
        {"num_frames": 1, "motion": 2},
        {"motion": -1, "guidance_scale": 0, "fps": 7},
        {"system_prompt": "Draw: "},
    ],
)
def test_settings_written_down_make_the_same_settings(given: dict[str, Any]) -> None:
    settings = resolve_settings({"width": 96, "motion": 3.0}, given)
    written = json.loads(json.dumps(settings.to_dict()))
    assert written.keys() <= set(SETTING_NAMES)
    assert resolve_settings(MODEL, written) == settings


@pytest.mark.parametrize("preset", [None, "f16F64R512-MultiScale"])
def test_a_picture_is_one_latent_at_every_scale_and_does_not_move_unless_a_preset_says_so(preset: str | None) -> None:
    settings = resolve_settings({"motion": 3.0}, {"num_frames": 1, "preset": preset})
    assert settings.latent_shape == (1, 48, 84)
    scores = settings.preset.motion, settings.preset.negative_motion
    assert scores == ((0, -1) if preset is None else (6.0, (2.0, (0.05, 6.0))))
    assert resolve_settings({}, {"num_frames": 1, "motion": 2}).preset.motion == 2


def test_a_picture_made_fast_has_the_models_own_preset_and_a_video_the_fast_one() -> None:
    defaults = {**DEFAULTS, "fast": {"preset": "f16F64R512-MultiScale"}}
    fast = fast_settings(defaults)
    assert resolve_settings(defaults, {**fast, "num_frames": 1}) == resolve_settings(defaults, {"num_frames": 1})
    assert resolve_settings(defaults, fast).preset == FlowPreset.named("f16F64R512-MultiScale")


def test_another_vae_has_other_latents() -> None:
    settings = resolve_settings(DEFAULTS, {}, vae=Compression(spatial=4, temporal=2))
    assert settings.latent_shape == (4, 24, 16)


# --- what is refused --------------------------------------------------------------------------------------------------


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "width": ({"width": 100}, r"width is 100; it must be a multiple of 16 .*1x2.; take 96 or 112"),
    "width, multi-scale": ({"width": 112, "preset": "f16F64R512-MultiScale"}, "width is 112; .* 32 .*take 96 or 128"),
    "height": ({"height": -16}, "height is -16; it must be a whole number of at least 1"),
    "frames": ({"num_frames": 30}, "num_frames is 30; it must be a multiple of 4 .*take 28 or 32, or 1 for a picture"),
    "frames, multi-scale": (
        {"num_frames": 12, "preset": "f24F96R960-MultiScale"},
        "num_frames is 12; .* 8 .*take 8 or 16",
    ),
    "no frames": ({"num_frames": 0}, "num_frames is 0; it must be a whole number of at least 1"),
    "half a frame": ({"num_frames": 8.5}, "num_frames is 8.5; it must be a whole number"),
    "fps": ({"fps": "fast"}, "fps is 'fast'; it must be a whole number"),
    "too large": ({"width": 65536, "height": 65536}, "latents, of which there can be"),
    "far too large": (
        {"width": 16 * 10**6},
        "width is 16000000; it must be a whole number of at least 1 and at most 65536",
    ),
    "steps": ({"num_inference_steps": 0}, "num_inference_steps is 0; it must be a whole number of at least 1"),
    "too many steps": ({"num_inference_steps": 10_000}, "num_inference_steps is 10000; it must be at most 9999"),
    "guidance": ({"guidance_scale": float("nan")}, "guidance_scale is nan; it must be a number"),
    "guidance text": ({"guidance_scale": "much"}, "guidance_scale is 'much'; it must be a number"),
    "guidance of t": ({"guidance_scale": [7, [0.2]]}, r"guidance_scale is \[7, \[0.2\]\]; .*such as \(7, \(0.2, 0\)"),
    "motion": ({"motion": float("inf")}, "motion is inf; it must be a number"),
    "flag": ({"motion": True}, "motion is True; it must be a number"),
    "preset": ({"preset": "f16F64R51"}, "preset is 'f16F64R51'; did you mean f16F64R512"),
    "preset of no kind": ({"preset": 3}, "preset is 3; give a name"),
    "preset without a key": ({"preset": {"P": "1x2"}}, "preset cannot be used: the preset lacks step, ts"),
    "preset with a wrong value": ({"preset": {**OWN, "ts": "a"}}, "preset cannot be used: ts is 'a'"),
    "preset file": ({"preset": "none.json"}, r"preset cannot be used: there is no preset file none\.json"),
    "two negative branches": ({"preset": {**OWN, "cfg": [[3], [2]]}}, "preset has a cfg of 2 negative branches"),
    "duration": ({"duration": "long"}, "duration is 'long'; it must be a number of seconds"),
    "duration of no frames": ({"duration": 0.3}, "duration is 0.3 s, 4.8 frames at 16 fps; give num_frames"),
    "two lengths": ({"duration": 2, "num_frames": 8}, "duration is 2 s, 32 frames at 16 fps, but num_frames is 8"),
    "system prompt": ({"system_prompt": 3}, "system_prompt is 3; it must be a text"),
    "unknown": ({"guidance_scal": 1.0}, "there is no setting 'guidance_scal'; did you mean guidance_scale"),
    "as the command has it": ({"resolution": "64x64"}, "there is no setting 'resolution'; say width and height"),
    "of the other model": ({"top_k": 5}, "top_k is a setting of Lumos-1, and Lumina-Video has no such thing"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_setting_is_named_with_its_rule_in_one_line(case: str) -> None:
    given, message = WRONG[case]
    with pytest.raises(ValueError, match=message) as caught:
        resolve_settings({}, given)
    assert "\n" not in str(caught.value)


def test_a_wrong_value_of_the_model_is_refused_too() -> None:
    for name, value in (("width", 100), ("preset", "f16"), ("num_frames", "eight"), ("system_prompt", 1)):
        with pytest.raises(ValueError, match=f"^{name} is "):
            resolve_settings({**DEFAULTS, name: value}, {})


def test_a_model_does_not_choose_a_file_that_is_opened(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(FlowPreset.named("f16F64R512").to_dict()))
    said = r"preset of generation_config.json is the file .*; its keys belong there, or give it yourself, --preset FILE"
    with pytest.raises(ValueError, match=said):
        resolve_settings({"preset": str(file)}, {})
    with pytest.raises(ValueError, match=said):
        fast_settings({"fast": {"preset": str(file)}})
    assert resolve_settings({"preset": str(file)}, {"preset": str(file)}).preset == FlowPreset.from_file(file)


def test_every_setting_of_lumos_1_alone_is_refused_as_such() -> None:
    assert set(NAMES_OF_LUMOS1) - set(SETTING_NAMES) == set(LUMOS1_NAMES)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"num_frames": 30}, "--num-frames is 30; it must be"),
        ({"num_inference_steps": 0}, "--steps is 0; it must be"),
        ({"mask_history_ratio": 0.7}, "--mask-history-ratio is a setting of Lumos-1"),
        ({"preset": "f24R960"}, "--preset is 'f24R960'; did you mean f24F96R960"),
    ],
)
def test_a_fault_is_said_under_the_name_of_the_option(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said), said_as_options(given):
        resolve_settings({}, given)


def test_a_preset_needs_scales_that_the_model_has() -> None:
    fine = LuminaVideoConfig(all_patch_size=(2,), all_f_patch_size=(1,))
    resolve_settings({}, {"preset": "f16F64R512"}).check(fine)
    with pytest.raises(ValueError, match=r"preset runs at scale 2x4 .* this model does not have; .*keeps to 1x2"):
        resolve_settings({}, {"preset": "f16F64R512-MultiScale"}).check(fine)
