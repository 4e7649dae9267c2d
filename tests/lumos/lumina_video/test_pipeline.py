"""LuminaVideoPipeline on a tiny random model: its parts in a row, seeds and batches, memory, what is refused."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from lumos import LuminaVideoPipeline
from lumos.lumina_video import config as configs
from lumos.lumina_video.encoding.on_demand import OnDemand
from lumos.lumina_video.flow import noise_for, sample_latents
from lumos.lumina_video.preset import FlowPreset
from lumos.lumina_video.text import GemmaTextEncoder, PromptCutWarning
from lumos.lumina_video.vae import CogVideoXVAE
from lumos.media.frames import to_frames
from tests.lumos.lumina_video.tiny import CONFIG, DEFAULTS, LATENT_CHANNELS, tiny_lumina_folder

SINGLE: dict[str, Any] = {**DEFAULTS["preset"], "P": "1x2", "step": 4}
RED, BLUE = "a red circle", "a much longer prompt of a blue square that moves to the left"
SMALL: dict[str, Any] = {"width": 32, "height": 64}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lumina_folder(tmp_path_factory.mktemp("ckpts") / "tiny")


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> LuminaVideoPipeline:
    return LuminaVideoPipeline.from_pretrained(folder, device="cpu", keep_encoders=True)


def assert_close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def differ(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and not torch.allclose(one, other, atol=1e-2)


# --- what comes back --------------------------------------------------------------------------------------------------


def test_a_clip_is_text_sampler_and_vae_in_a_row(pipeline: LuminaVideoPipeline, folder: Path) -> None:
    output = pipeline([RED, BLUE], negative_prompt="blurry", seed=[5, 11])
    encoder = GemmaTextEncoder.from_pretrained(folder / "text_encoder", system_prompt="")
    text, mask = encoder.encode([RED, BLUE])
    negative, negative_mask = encoder.encode(["blurry", "blurry"])
    latents = sample_latents(
        pipeline.model,
        torch.stack([noise_for(seed, (LATENT_CHANNELS, 2, 12, 8)) for seed in (5, 11)]),
        preset=FlowPreset.from_dict(DEFAULTS["preset"]),
        text=text,
        text_mask=mask,
        negative_text=negative,
        negative_mask=negative_mask,
    )
    for clip, made, frames in zip(latents, output.latents, output.frames, strict=True):
        assert_close(made, clip)
        video = CogVideoXVAE.from_pretrained(folder / "vae").decode(made[None], num_frames=8)
        np.testing.assert_array_equal(np.stack([np.asarray(frame) for frame in frames]), to_frames(video[0]))
    assert [len(frames) for frames in output.frames] == [8, 8]
    assert output.frames[0][0].size == (64, 96)
    assert output.seeds == [5, 11]
    assert [settings.fps for settings in output.settings] == [4, 4]


def test_passes_are_counted_as_the_network_is_called(
    pipeline: LuminaVideoPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []
    forward = type(pipeline.model).forward

    def counted(model: Any, x: Tensor, *arguments: Any, scale: str) -> Tensor:
        calls.append((scale, len(x)))
        return forward(model, x, *arguments, scale=scale)

    monkeypatch.setattr(type(pipeline.model), "forward", counted)
    output = pipeline([RED, BLUE], seed=1)
    assert output.model_calls == [sum(rows for _, rows in calls) // 2] * 2
    assert list(dict.fromkeys(scale for scale, _ in calls)) == ["2x4", "2x2", "1x2"]
    assert pipeline(RED, seed=1, guidance_scale=0, **SMALL).model_calls == [4]


def test_the_same_seed_makes_the_same_clip_alone_and_in_a_batch(pipeline: LuminaVideoPipeline) -> None:
    together = pipeline([RED, BLUE, "three green stars"], seed=7)
    alone = pipeline(BLUE, seed=8)
    assert together.seeds == [7, 8, 9]
    assert_close(together.latents[1], alone.latents[0])
    assert differ(together.latents[0], alone.latents[0])


def test_negative_prompts_of_each_clip_count_for_it_alone(pipeline: LuminaVideoPipeline) -> None:
    together = pipeline([RED, RED], negative_prompt=["blurry", None], seed=[3, 3])
    alone = [pipeline(RED, negative_prompt=negative, seed=3).latents[0] for negative in ("blurry", "")]
    for one, other in zip(together.latents, alone, strict=True):
        assert_close(one, other)
    assert differ(alone[0], alone[1])


def test_seeds_are_recorded_when_none_is_given_and_make_the_clip_again(pipeline: LuminaVideoPipeline) -> None:
    first = pipeline(RED, **SMALL)
    again = pipeline(RED, seed=first.seeds, **SMALL)
    assert torch.equal(first.latents[0], again.latents[0])
    assert pipeline(RED, **SMALL).seeds != first.seeds


def test_a_generator_draws_the_seeds(pipeline: LuminaVideoPipeline) -> None:
    drawn = [pipeline([RED, BLUE], generator=torch.Generator().manual_seed(4), **SMALL).seeds for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert drawn[0][0] != drawn[0][1]


@pytest.mark.parametrize(
    "setting",
    [{"motion": 0}, {"motion": -1}, {"guidance_scale": 9.0}, {"guidance_scale": 0}, {"num_inference_steps": 2}],
    ids=str,
)
def test_a_setting_matters(pipeline: LuminaVideoPipeline, setting: dict[str, Any]) -> None:
    plain, other = (pipeline(RED, seed=1, **SMALL, **given).latents[0] for given in ({}, setting))
    assert differ(plain, other)


def test_guidance_scale_is_the_cfg_of_a_preset_and_steps_one_less_than_its_points(
    pipeline: LuminaVideoPipeline,
) -> None:
    preset = {**SINGLE, "cfg": 2.5, "step": 6, "motion": 1.0}
    whole = pipeline(RED, seed=1, preset=preset, **SMALL)
    changed = pipeline(
        RED, seed=1, preset=SINGLE, guidance_scale=2.5, num_inference_steps=5, motion=1.0, negative_prompt=None, **SMALL
    )
    assert torch.equal(whole.latents[0], changed.latents[0])


def test_each_step_is_handed_out(pipeline: LuminaVideoPipeline) -> None:
    seen: list[tuple[int, Tensor]] = []
    output = pipeline([RED, BLUE], seed=1, callback=lambda index, state: seen.append((index, state.clone())), **SMALL)
    assert [index for index, _ in seen] == [0, 1, 2, 3]
    assert seen[0][1].shape == (2, LATENT_CHANNELS, 2, 8, 4)
    assert torch.equal(seen[-1][1], torch.stack(output.latents))


@pytest.mark.parametrize("num_frames", [4, 8, 12, 16])
def test_any_number_of_latent_frames_decodes_to_exactly_the_frames_asked_for(
    pipeline: LuminaVideoPipeline, num_frames: int
) -> None:
    output = pipeline(RED, seed=1, preset=SINGLE, num_frames=num_frames, width=48, height=32)
    assert output.latents[0].shape == (LATENT_CHANNELS, num_frames // 4, 4, 6)
    assert [frame.size for frame in output.frames[0]] == [(48, 32)] * num_frames


def test_a_picture_is_the_one_frame_of_its_only_latent_at_any_scale(pipeline: LuminaVideoPipeline) -> None:
    for preset in (SINGLE, None):
        output = pipeline(RED, seed=1, preset=preset, num_frames=1, width=64, height=32)
        assert output.latents[0].shape == (LATENT_CHANNELS, 1, 4, 8)
        assert [frame.size for frame in output.frames[0]] == [(64, 32)]
        (again,) = pipeline.decode(torch.stack(output.latents), num_frames=1)
        assert list(map(bytes, map(Image.Image.tobytes, again))) == [output.frames[0][0].tobytes()]


def test_any_unicode_is_a_prompt(pipeline: LuminaVideoPipeline) -> None:
    assert len(pipeline("ein roter Kreis 🟥 \udc80 红", seed=1, **SMALL).frames[0]) == 8


def test_a_long_prompt_is_cut_and_says_so(pipeline: LuminaVideoPipeline) -> None:
    with pytest.warns(PromptCutWarning, match="the last .* are dropped"):
        output = pipeline("zq" * 400, seed=1, **SMALL)
    assert len(output.frames[0]) == 8


def test_bf16_works(folder: Path) -> None:
    half = LuminaVideoPipeline.from_pretrained(folder, device="cpu", dtype="bfloat16")
    output = half([RED, BLUE], seed=1, **SMALL)
    assert half.dtype == torch.bfloat16
    assert output.latents[0].dtype == torch.float32
    assert [len(frames) for frames in output.frames] == [8, 8]


def test_a_released_folder_gives_the_same_clip(
    pipeline: LuminaVideoPipeline, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(configs.PRESETS, "tiny", CONFIG)
    factors = {"rope_theta": 256.0, "t_scale": 1000.0, "motion_scale": 20.0, "qk_norm": True}
    arguments = argparse.Namespace(model="tiny", patch_sizes=[2, 2, 4], f_patch_sizes=[1, 2, 2], **factors)
    torch.save(arguments, tmp_path / "model_args.pth")
    save_file(pipeline.model.state_dict(), tmp_path / "consolidated.00-of-01.safetensors")
    for part in ("text_encoder", "vae"):
        (tmp_path / part).symlink_to(folder / part)
    released = LuminaVideoPipeline.from_pretrained(tmp_path, device="cpu")
    assert (released.defaults, released.settings_for({}).num_frames) == ({}, 64)
    output = released(RED, seed=1, **DEFAULTS)
    assert torch.equal(output.latents[0], pipeline(RED, seed=1).latents[0])


# --- parts that are there only while they work ------------------------------------------------------------------------


class Loads:
    """A pipeline and which of its parts were loaded, in order."""

    def __init__(self, folder: Path, known: LuminaVideoPipeline, *, keep: bool) -> None:
        self.parts: list[str] = []

        def load(name: str, read: Callable[[], Any]) -> Any:
            self.parts.append(name)
            return read()

        parts = replace(
            known._parts,
            network=OnDemand(lambda: load("network", lambda: known.model)),
            text_encoder=OnDemand(
                lambda: load("text encoder", lambda: GemmaTextEncoder.from_pretrained(folder / "text_encoder")),
                keep=keep,
            ),
            vae=OnDemand(lambda: load("VAE", lambda: CogVideoXVAE.from_pretrained(folder / "vae")), keep=keep),
        )
        self.pipeline = LuminaVideoPipeline(parts, defaults=DEFAULTS)


@pytest.fixture(params=[False, True], ids=["given up", "kept"])
def loads(request: pytest.FixtureRequest, folder: Path, pipeline: LuminaVideoPipeline) -> Iterator[Loads]:
    return Loads(folder, pipeline, keep=request.param)


def test_encoders_are_loaded_when_needed_and_given_up_unless_kept(
    loads: Loads, request: pytest.FixtureRequest, pipeline: LuminaVideoPipeline
) -> None:
    before: list[list[str]] = []
    seen = {"callback": lambda index, state: before.append(list(loads.parts)) if index == 0 else None}
    first = loads.pipeline(RED, seed=1, **seen)
    loads.pipeline(BLUE, seed=1, **seen)
    kept = request.node.callspec.params["loads"]
    assert before[0] == ["text encoder", "network"]
    assert loads.parts == ["text encoder", "network", "VAE"] + (["text encoder", "VAE"] if not kept else [])
    assert torch.equal(first.latents[0], pipeline(RED, seed=1).latents[0])


def test_prompts_encoded_beforehand_need_the_encoder_once(loads: Loads, pipeline: LuminaVideoPipeline) -> None:
    loads.pipeline.encode_prompts([RED, BLUE, "", "blurry"])
    made = [loads.pipeline(text, negative_prompt="blurry", seed=4, **SMALL).latents[0] for text in (RED, BLUE)]
    assert loads.parts.count("text encoder") == 1
    for text, latents in zip((RED, BLUE), made, strict=True):
        assert_close(latents, pipeline(text, negative_prompt="blurry", seed=4, **SMALL).latents[0])


def test_nothing_is_encoded_for_a_branch_that_is_not_computed(loads: Loads, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    encode = GemmaTextEncoder.encode
    monkeypatch.setattr(GemmaTextEncoder, "encode", lambda one, texts: encoded.extend(texts) or encode(one, texts))
    loads.pipeline(RED, negative_prompt="blurry", seed=1, guidance_scale=0, **SMALL)
    assert encoded == [RED]
    loads.pipeline([RED, BLUE], negative_prompt="blurry", seed=1, **SMALL)
    assert sorted(encoded) == sorted([RED, BLUE, "blurry"])


# --- what is refused --------------------------------------------------------------------------------------------------


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "empty prompt": ({"prompt": "  "}, "the prompt is empty"),
    "one of them empty": ({"prompt": [RED, ""]}, "the prompt is empty"),
    "no prompt": ({"prompt": []}, "prompt has 0 entries"),
    "an image": ({"image": Image.new("RGB", (64, 96))}, "image is given, but Lumina-Video makes videos from text"),
    "images": ({"prompt": [RED, BLUE], "image": [None, "x.png"]}, "image is given, but Lumina-Video"),
    "width": ({"width": 48}, "width is 48; it must be a multiple of 32 .*2x4.* take 32 or 64"),
    "frames": ({"num_frames": 12}, "num_frames is 12; it must be a multiple of 8 .* take 8 or 16"),
    "preset": ({"preset": "f24"}, "preset is 'f24'"),
    "scale": ({"preset": {**SINGLE, "P": "4x2"}, "num_frames": 16}, "preset runs at scale 4x2 .* does not have"),
    "guidance": ({"guidance_scale": float("inf")}, "guidance_scale is inf; it must be a number"),
    "steps": ({"num_inference_steps": 0}, "num_inference_steps is 0"),
    "seed": ({"seed": -1}, "seed is -1"),
    "seeds": ({"prompt": [RED, BLUE], "seed": [1]}, "seed has 1 entries where there are 2"),
    "seed and generator": ({"seed": 1, "generator": torch.Generator()}, "both seed and generator"),
    "negatives": ({"prompt": [RED] * 3, "negative_prompt": ["a", "b"]}, "negative_prompt has 2 entries"),
    "of the other model": ({"mask_history_ratio": 0.7}, "mask_history_ratio is a setting of Lumos-1"),
    "unknown": ({"inference_steps": 3}, "there is no setting 'inference_steps'; did you mean num_inf"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_call_that_cannot_be_done_is_refused_before_anything_is_loaded(
    folder: Path, pipeline: LuminaVideoPipeline, case: str
) -> None:
    given, message = WRONG[case]
    loads = Loads(folder, pipeline, keep=False)
    with pytest.raises(ValueError, match=message) as caught:
        loads.pipeline(**{"prompt": RED, **given})
    assert "\n" not in str(caught.value)
    assert loads.parts == []


def test_what_does_not_count_may_be_none(pipeline: LuminaVideoPipeline) -> None:
    nothing = dict.fromkeys(("image", "top_k", "duration", "mask_history_ratio", "preset", "width"))
    assert torch.equal(pipeline(RED, seed=1, **nothing).latents[0], pipeline(RED, seed=1).latents[0])


def test_settings_and_prompts_are_checked_as_a_call_would(pipeline: LuminaVideoPipeline) -> None:
    settings = pipeline.settings_for({"motion": 2.0, "top_k": None})
    assert settings == pipeline(RED, motion=2.0, seed=1).settings[0]
    with pytest.raises(ValueError, match="the prompt is empty"):
        pipeline.check(" ", settings)
    with pytest.raises(ValueError, match="image is given"):
        pipeline.settings_for({}, image="x.png")
    pipeline.check(RED, settings)


def test_latents_that_are_not_finite_are_said_before_the_vae_sees_them(pipeline: LuminaVideoPipeline) -> None:
    latents = torch.zeros(1, LATENT_CHANNELS, 2, 4, 6)
    latents[0, 1, 0, 2, 3] = float("nan")
    with pytest.raises(ValueError, match="the latents hold numbers that are not finite"):
        pipeline.decode(latents)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 TB")],
    ids=["GPU", "CPU"],
)
def test_memory_that_does_not_suffice_is_said_with_the_remedy(
    pipeline: LuminaVideoPipeline, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    def fail(*_: Any, **__: Any) -> Tensor:
        raise error

    monkeypatch.setattr(CogVideoXVAE, "decode", fail)
    with pytest.raises(ValueError, match=r"decoding takes more .*--tiled"):
        pipeline(RED, seed=1, **SMALL)
    monkeypatch.setattr(type(pipeline.model), "forward", fail)
    with pytest.raises(ValueError, match=r"sampling takes more .*fewer clips at once"):
        pipeline(RED, seed=1, **SMALL)


def test_other_errors_of_the_network_stay_what_they_are(
    pipeline: LuminaVideoPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Tensor:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(type(pipeline.model), "forward", fail)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        pipeline(RED, seed=1, **SMALL)


# --- loading ----------------------------------------------------------------------------------------------------------


def test_a_model_is_found_by_its_name_under_ckpts(folder: Path) -> None:
    found = LuminaVideoPipeline.from_pretrained("tiny", device="cpu", ckpts=folder.parent)
    assert found.files is not None
    assert (found.files.name, found.files.model, found.defaults) == ("tiny", folder, DEFAULTS)
    assert (found.device.type, found.dtype, found.weights) == ("cpu", torch.float32, None)
    assert not found.model.training


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"device": "quantum"}, "device is 'quantum'"),
        ({"attention_backend": "fast"}, "attention backend is 'fast'; choose one of"),
    ],
)
def test_what_cannot_be_had_is_named(folder: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LuminaVideoPipeline.from_pretrained(folder, **options)


def test_a_folder_that_is_not_there_or_holds_another_model_is_named(repo: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the model 'nobody/tiny' is not in .*run: lumos download nobody/tiny"):
        LuminaVideoPipeline.from_pretrained("nobody/tiny", ckpts=tmp_path)
    with pytest.raises(ValueError, match="holds a model of Lumos-1, and this takes one of Lumina-Video; name another"):
        LuminaVideoPipeline.from_pretrained(repo / "ckpts" / "lumos-tiny")
