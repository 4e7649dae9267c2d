"""LumosPipeline on a tiny random model: what comes back, from which seeds, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.pipeline import LumosPipeline
from lumos.lumos1.sampling.settings import (
    FAST,
    RELEASED_DEFAULTS,
    Settings,
    fast_settings,
    resolve_settings,
    settings_for,
    sizes_for_images,
)
from lumos.media.crop import nearest_size
from lumos.tokenizer.vocab import Vocab
from tests.model_folder import make_model_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model_folder(tmp_path_factory.mktemp("ckpts") / "tiny")


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> LumosPipeline:
    return LumosPipeline.from_pretrained(folder, device="cpu")


def picture(width: int = 130, height: int = 90) -> Image.Image:
    pixels = np.random.RandomState(0).randint(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


# --- settings ---------------------------------------------------------------------------------------------------------


def test_released_defaults_are_those_of_the_release() -> None:
    video, image = resolve_settings({}, {}), resolve_settings({}, {"num_frames": 1})
    assert (video.width, video.height, video.fps, video.duration) == (672, 384, 12, 2)
    assert (video.num_frames, video.num_latent_frames, video.num_output_frames) == (24, 7, 25)
    assert (video.sampler.num_steps, video.sampler.guidance_scale, video.sampler.mask_history_ratio) == (50, 15.0, 0.7)
    assert (image.width, image.height, image.fps, image.duration) == (448, 256, 1, 1)
    assert (image.num_latent_frames, image.num_output_frames, image.sampler.guidance_scale) == (1, 1, 16.0)


def test_given_wins_over_the_model_and_the_model_over_the_release() -> None:
    defaults = {"width": 96, "fps": 4, "guidance_scale": 3.0, "image_guidance_scale": 5.0}
    settings = resolve_settings(defaults, {"fps": 6, "width": None})
    assert (settings.width, settings.height, settings.fps) == (96, RELEASED_DEFAULTS["height"], 6)
    assert settings.sampler.guidance_scale == 3.0
    assert resolve_settings(defaults, {"num_frames": 1}).sampler.guidance_scale == 5.0
    assert resolve_settings({"width": 96, "height": 64}, {"num_frames": 1}).width == 96


def test_an_image_model_makes_images_unless_a_clip_is_asked_for() -> None:
    assert resolve_settings({"num_frames": 1}, {}).num_output_frames == 1
    assert resolve_settings({"num_frames": 1}, {"duration": 3}).num_frames == 36


@pytest.mark.parametrize(
    ("num_frames", "latent", "duration"), [(24, 7, 2), (25, 7, 2), (26, 8, 2), (5, 2, 1), (60, 16, 5)]
)
def test_a_number_of_frames_asked_for_is_the_number_made(num_frames: int, latent: int, duration: int) -> None:
    settings = resolve_settings({}, {"num_frames": num_frames})
    assert (settings.num_output_frames, settings.num_latent_frames) == (num_frames, latent)
    assert settings.duration == duration


def test_settings_written_down_make_the_same_settings() -> None:
    for given in ({}, {"num_frames": 1}, {"num_frames": 9, "fps": 3, "top_k": 5, "random_history": True}):
        settings = resolve_settings({"width": 96}, given)
        assert resolve_settings({"width": 64, "fps": 7}, settings.to_dict()) == settings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"width": 100}, "width is 100; it must be a multiple of 32 pixels, for example 96"),
        ({"height": -32}, "height is -32; it must be a whole number"),
        ({"fps": 0}, "fps is 0; it must be a whole number"),
        ({"duration": 2.5}, "duration is 2.5; it must be a whole number"),
        ({"num_frames": 0}, "num_frames is 0; it must be a whole number"),
        ({"num_inference_steps": 0}, "num_inference_steps is 0; it must be a whole number"),
        ({"guidance_scale": -1.0}, "guidance_scale"),
        ({"guidance_scale": "much"}, "guidance_scale is 'much'; it must be a number"),
        ({"temperature": float("nan")}, "temperature is nan; it must be a number"),
        ({"mask_history_ratio": 1.5}, "mask_history_ratio"),
        ({"guidance_scal": 1.0}, "did you mean guidance_scale"),
    ],
)
def test_a_wrong_setting_is_named_with_its_rule(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_settings({}, given)


def test_a_number_without_a_token_is_refused() -> None:
    for given, message in (
        ({"fps": 199}, "fps is 199.* at most 198"),
        ({"width": 6368}, "width is 6368.* at most 6336"),
    ):
        with pytest.raises(ValueError, match=message):
            resolve_settings({}, given).check(Vocab())


def test_crops_of_the_released_sizes_follow_their_target_size() -> None:
    with pytest.raises(ValueError, match="random_history is 'False'; it must be true or false"):
        resolve_settings({}, {"random_history": "False"})
    assert (448, 256) in sizes_for_images({"width": 448, "height": 256})
    assert (672, 384) in sizes_for_images({})
    assert (832, 480) in sizes_for_images({"target_size": 656})
    assert nearest_size(1280, 720, sizes_for_images({"width": 768, "height": 480})) == (832, 480)
    assert (512, 256) in sizes_for_images({"width": 512, "height": 256})
    assert sizes_for_images({"sizes": [[64, 96]]}) == [(64, 96)]
    assert nearest_size(1920, 1080, sizes_for_images({})) == (672, 384)


# --- what comes back --------------------------------------------------------------------------------------------------


def test_a_video_has_all_decoded_frames_at_the_model_s_size(pipeline: LumosPipeline) -> None:
    output = pipeline("a red circle moves", seed=5)
    assert output.seeds == [5]
    assert [len(frames) for frames in output.frames] == [9]
    assert output.frames[0][0].size == (96, 64)
    assert output.codes[0].shape == (3, 8, 12)
    assert output.settings[0].num_frames == 8


def test_an_image_is_one_frame(pipeline: LumosPipeline) -> None:
    output = pipeline("a red circle", num_frames=1, width=64, height=32, seed=1)
    assert [frame.size for frame in output.frames[0]] == [(64, 32)]
    assert (output.settings[0].fps, output.settings[0].duration) == (1, 1)


def test_the_number_of_frames_asked_for_comes_back(pipeline: LumosPipeline) -> None:
    assert len(pipeline("a red circle", num_frames=6, seed=1).frames[0]) == 6


def test_the_same_seed_makes_the_same_clip_alone_and_in_a_batch(pipeline: LumosPipeline) -> None:
    together = pipeline(["a red circle", "a much longer prompt of a blue square"], seed=7, num_frames=5)
    alone = pipeline("a much longer prompt of a blue square", seed=8, num_frames=5)
    assert together.seeds == [7, 8]
    assert torch.equal(together.codes[1], alone.codes[0])
    assert not torch.equal(together.codes[0], alone.codes[0])


def test_seeds_are_recorded_when_none_is_given_and_make_the_clip_again(pipeline: LumosPipeline) -> None:
    first = pipeline("a red circle", num_frames=5)
    again = pipeline("a red circle", num_frames=5, seed=first.seeds)
    assert torch.equal(first.codes[0], again.codes[0])
    assert pipeline("a red circle", num_frames=1).seeds != pipeline("a red circle", num_frames=1).seeds


def test_a_generator_draws_the_seeds(pipeline: LumosPipeline) -> None:
    seeds = [pipeline(["a", "b"], num_frames=1, generator=torch.Generator().manual_seed(4)).seeds for _ in range(2)]
    assert seeds[0] == seeds[1]
    assert seeds[0][0] != seeds[0][1]


def test_a_picture_becomes_the_first_frame_at_the_nearest_size(pipeline: LumosPipeline) -> None:
    output = pipeline("it moves", image=[picture(), picture(90, 130)], seed=3)
    assert [(one.width, one.height) for one in output.settings] == [(96, 64), (64, 96)]
    for image, codes, settings in zip([picture(), picture(90, 130)], output.codes, output.settings, strict=True):
        assert torch.equal(codes[:1], pipeline.encode_image(image, (settings.width, settings.height)))


def test_a_size_given_wins_over_the_picture_s_shape(pipeline: LumosPipeline) -> None:
    output = pipeline("it moves", image=picture(90, 130), width=64, height=32, num_frames=5, seed=3)
    assert output.frames[0][0].size == (64, 32)


def test_a_picture_may_be_pil_array_tensor_or_file(pipeline: LumosPipeline, tmp_path: Path) -> None:
    image = picture()
    path = tmp_path / "picture.png"
    image.save(path)
    array = np.asarray(image)
    forms = [
        image,
        array,
        torch.from_numpy(array.copy()).float() / 255,
        array.astype(np.float32) / 255,
        path,
        str(path),
    ]
    codes = [pipeline("it moves", image=form, num_frames=5, seed=1).codes[0] for form in forms]
    assert all(torch.equal(codes[0], other) for other in codes)


def test_guidance_one_and_negative_prompts_work_and_matter(pipeline: LumosPipeline) -> None:
    plain = pipeline("a red circle", num_frames=5, seed=1).codes[0]
    unguided = pipeline("a red circle", num_frames=5, seed=1, guidance_scale=1).codes[0]
    negative = pipeline("a red circle", num_frames=5, seed=1, negative_prompt="blue").codes[0]
    assert not torch.equal(plain, unguided)
    assert not torch.equal(plain, negative)


def test_each_finished_latent_frame_is_handed_out(pipeline: LumosPipeline) -> None:
    seen: list[int] = []
    output = pipeline("a red circle", seed=1, callback=lambda index, codes: seen.append(index))
    assert seen == list(range(len(output.codes[0])))


def test_bf16_on_a_cpu_works(folder: Path) -> None:
    half = LumosPipeline.from_pretrained(folder, device="cpu", dtype="bfloat16")
    assert half.dtype == torch.bfloat16
    assert len(half("a red circle", num_frames=5, seed=1).frames[0]) == 5


def test_any_unicode_is_a_prompt(pipeline: LumosPipeline) -> None:
    assert pipeline("ein roter Kreis 🟥 \udc80 红", num_frames=1, width=32, height=32, seed=1).frames[0]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": "x " * 2000}, "the prompt has .* tokens; this model takes 1100 tokens"),
        ({"prompt": "  "}, "the prompt is empty"),
        ({"prompt": "a", "width": 100}, "width is 100"),
        ({"prompt": "a", "seed": -1}, "seed is -1"),
        ({"prompt": "a", "seed": 1, "generator": torch.Generator()}, "both seed and generator"),
        ({"prompt": ["a", "b"], "seed": [1]}, "seed has 1 entries where there are 2"),
        ({"prompt": ["a", "b"], "image": [picture()] * 3}, "has 2 entries where there are 3|has 3 entries"),
        ({"prompt": "a", "image": picture(), "num_frames": 1}, "ask for at least 2 frames"),
        ({"prompt": "a", "image": np.zeros((4, 4), np.uint8)}, "the image is"),
        ({"prompt": "a", "image": np.full((4, 4, 3), 7.0)}, "outside 0..1"),
        ({"prompt": "a", "image": "nothing.png"}, "nothing.png: missing file"),
        ({"prompt": "a", "steps": 3}, "there is no setting 'steps'; say num_inference_steps"),
    ],
)
def test_a_call_that_cannot_be_done_is_refused_in_one_clear_error(
    pipeline: LumosPipeline, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pipeline(**arguments)


@pytest.mark.parametrize(
    ("prompt", "given", "message"),
    [
        (" ", {}, "the prompt is empty"),
        ("a " * 3000, {}, "shorten it, or ask for fewer or smaller frames"),
        ("a", {"fps": 999, "num_frames": 5}, "fps is 999, more than this model has a token for"),
    ],
)
def test_what_a_call_would_refuse_is_found_without_calling(
    pipeline: LumosPipeline, prompt: str, given: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pipeline.check(prompt, settings_for(pipeline.defaults, given))


def test_settings_without_the_model_are_those_of_the_pipeline(pipeline: LumosPipeline) -> None:
    for given, image in (({}, None), ({"num_frames": 5}, picture(90, 130)), ({"width": 32}, picture(90, 130))):
        assert settings_for(pipeline.defaults, given, image=image) == pipeline.settings_for(given, image=image)
    assert settings_for(pipeline.defaults, {"num_frames": 5}, image=picture(90, 130)).width == 64
    with pytest.raises(ValueError, match="num_frames is 1, but an image is given as first frame"):
        settings_for(pipeline.defaults, {"num_frames": 1}, image=picture())


def test_a_tokenizer_of_images_alone_is_found_at_the_first_check(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, tried = LumosPipeline.from_pretrained(folder, device="cpu"), []

    def one_frame_each(codes: torch.Tensor) -> torch.Tensor:
        tried.append(codes.shape)
        raise ValueError("makes pixels of 2 frames")  # as `VisualTokenizer.decode` does

    decode = pipeline.visual.decode
    monkeypatch.setattr(pipeline.visual, "decode", one_frame_each)
    settings = settings_for(pipeline.defaults, {})
    pipeline.check("a", settings_for(pipeline.defaults, {"num_frames": 1}))
    assert tried == []
    with pytest.raises(
        ValueError, match=r"cannot do video: 2 latent frames are 5 frames \(makes pixels of 2 frames\); choose"
    ):
        pipeline.check("a", settings)
    assert tried == [(1, 2, *settings.grid)]
    monkeypatch.setattr(pipeline.visual, "decode", decode)
    pipeline.check("a", settings)
    monkeypatch.setattr(pipeline.visual, "decode", None)
    pipeline.check("another", settings)  # tried once


def test_a_file_that_is_no_picture_is_named(pipeline: LumosPipeline, tmp_path: Path) -> None:
    path = tmp_path / "words.png"
    path.write_text("not a picture")
    with pytest.raises(ValueError, match=r"words\.png: undecodable"):
        pipeline("a", image=path)


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
        LumosPipeline.from_pretrained(folder, **options)


def test_the_model_samples_by_the_backend_that_is_asked_for(folder: Path) -> None:
    plain, chosen = (LumosPipeline.from_pretrained(folder, "cpu", **how) for how in ({}, {"attention_backend": "sdpa"}))
    assert (plain.model.attention_backend, chosen.model.attention_backend) == ("auto", "sdpa")


def test_settings_say_how_many_frames_come_out() -> None:
    assert Settings(width=64, height=32, num_frames=8, fps=4, duration=2, exact=False).num_output_frames == 9


def test_the_model_is_loaded_in_evaluation_mode(pipeline: LumosPipeline) -> None:
    assert isinstance(pipeline.model, LumosForCausalLM)
    assert not pipeline.model.training


def test_fast_is_the_models_own_or_what_is_usual() -> None:
    assert fast_settings({}) == FAST
    assert fast_settings({"fast": {"later_steps": 0.75}}) == {"later_steps": 0.75}
    for wrong in (None, [1], "abc"):
        with pytest.raises(ValueError, match=r"fast of generation_config.json is .*; it must be settings, such as"):
            fast_settings({"fast": wrong})


# --- memory -----------------------------------------------------------------------------------------------------------


def test_memory_that_does_not_suffice_is_said_with_the_remedy(
    pipeline: LumosPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(type(pipeline.visual), "decode", fail)
    with pytest.raises(
        ValueError, match=r"^decoding takes more memory than there is; ask for a smaller or shorter clip$"
    ):
        pipeline("a star", num_frames=1, num_inference_steps=1)
    monkeypatch.setattr("lumos.lumos1.generation.clip_groups.generate", fail)
    with pytest.raises(ValueError, match=r"^sampling takes more .*fewer clips at once.*--weights int8.*--offload"):
        pipeline("a star", num_frames=1, num_inference_steps=1)
