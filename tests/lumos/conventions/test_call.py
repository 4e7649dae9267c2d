"""Words of a call, tried on both pipelines: what they mean, not only that they are taken."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.lumos.conventions.conftest import Kind

RED, BLUE = "a red circle moves", "a blue square"


def seen(output: Any) -> np.ndarray:
    return np.stack([[np.asarray(frame) for frame in clip] for clip in output.frames])


# --- outputs a prompt -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["num_videos_per_prompt", "num_images_per_prompt"])
def test_outputs_of_a_prompt_stand_together_and_seeds_count_through_them(kind: Kind, pipeline: Any, word: str) -> None:
    many = pipeline([RED, BLUE], seed=7, output_type="latent", **kind.small, **{word: 2})
    assert many.seeds == [7, 8, 9, 10]
    for index, (prompt, seed) in enumerate([(RED, 7), (RED, 8), (BLUE, 9), (BLUE, 10)]):
        alone = pipeline(prompt, seed=seed, output_type="latent", **kind.small)
        torch.testing.assert_close(many.frames[index], alone.frames[0], rtol=1e-4, atol=1e-4)
    assert not torch.equal(many.frames[0], many.frames[1])


def test_negative_prompts_and_generators_go_along(kind: Kind, pipeline: Any) -> None:
    generators = [torch.Generator().manual_seed(index) for index in range(4)]
    given = {"negative_prompt": ["blurry", "dark"], "num_videos_per_prompt": 2, "output_type": "latent"}
    many = pipeline([RED, BLUE], generator=generators, **given, **kind.small)
    alone = pipeline(BLUE, negative_prompt="dark", seed=many.seeds[3], output_type="latent", **kind.small)
    torch.testing.assert_close(many.frames[3], alone.frames[0], rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="seed has 2 entries where there are 4 clips"):
        pipeline([RED, BLUE], seed=[1, 2], num_videos_per_prompt=2, **kind.small)


# --- output_type, return_dict -----------------------------------------------------------------------------------------


def test_forms_of_frames_show_the_same(kind: Kind, pipeline: Any) -> None:
    forms = {
        form: pipeline([RED, BLUE], seed=1, output_type=form, **kind.small) for form in ("pil", "np", "pt", "latent")
    }
    pil, array, tensor = seen(forms["pil"]), forms["np"].frames, forms["pt"].frames
    width, height = kind.small["width"], kind.small["height"]
    assert pil.shape == array.shape == (2, kind.num_frames, height, width, 3)
    assert tensor.shape == (2, kind.num_frames, 3, height, width)
    assert (array.dtype, tensor.dtype) == (np.float32, torch.float32)
    assert 0 <= array.min() <= array.max() <= 1
    np.testing.assert_array_equal((array * 255).astype(np.uint8), pil)
    np.testing.assert_array_equal(tensor.permute(0, 1, 3, 4, 2).numpy(), array)


def test_latents_are_decoded_to_what_would_have_come(
    kind: Kind, pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pipeline(RED, seed=1, **kind.small)
    with monkeypatch.context() as patch:
        patch.setattr(type(pipeline), "_decoded" if kind.num_frames == 8 else "_pixels", None)  # it is not decoded
        latent = pipeline(RED, seed=1, output_type="latent", **kind.small).frames
    lumos1 = kind.num_frames == 5
    again = [pipeline.decode(latent[0], whole.settings[0])] if lumos1 else pipeline.decode(latent)
    assert seen(whole).tolist() == [[np.asarray(frame).tolist() for frame in clip] for clip in again]
    assert torch.equal(latent[0].cpu(), whole.codes[0] if lumos1 else whole.latents[0])


def test_return_dict_false_is_the_tuple_of_frames(kind: Kind, pipeline: Any) -> None:
    (frames,) = pipeline(RED, seed=1, return_dict=False, **kind.small)
    whole = pipeline(RED, seed=1, return_dict=True, **kind.small)
    assert [frame.tobytes() for frame in frames[0]] == [frame.tobytes() for frame in whole.frames[0]]


# --- callback_on_step_end ---------------------------------------------------------------------------------------------


def test_the_callback_is_called_after_every_step_and_only_looks(kind: Kind, pipeline: Any) -> None:
    steps: list[tuple[int, float]] = []

    def look(pipe: Any, step: int, timestep: Any, callback_kwargs: dict[str, Tensor]) -> dict[str, Tensor]:
        assert pipe is pipeline
        assert list(callback_kwargs) == ["latents"]
        assert len(callback_kwargs["latents"]) == 2
        assert pipe.num_timesteps == kind.num_steps
        steps.append((step, float(timestep)))
        return callback_kwargs

    looked = pipeline([RED, BLUE], seed=1, output_type="latent", callback_on_step_end=look, **kind.small)
    plain = pipeline([RED, BLUE], seed=1, output_type="latent", **kind.small)
    assert torch.equal(looked.frames, plain.frames)
    assert looked.model_calls == plain.model_calls
    assert [step for step, _ in steps] == list(range(kind.num_steps))
    times = [time for _, time in steps]
    assert times == sorted(times)
    assert times[0] == 0  # of the flow, or the latent frame


@pytest.mark.parametrize("in_place", [False, True])
def test_what_the_callback_changes_goes_on(kind: Kind, pipeline: Any, in_place: bool) -> None:
    def top_left(_: Any, step: int, timestep: Any, given: dict[str, Tensor]) -> dict[str, Tensor] | None:
        changed = given["latents"] if in_place else given["latents"].clone()
        changed[..., :1, :1] = 3
        return None if in_place else {"latents": changed}

    plain = pipeline(RED, seed=1, output_type="latent", **kind.small).frames
    changed = pipeline(RED, seed=1, output_type="latent", callback_on_step_end=top_left, **kind.small).frames
    assert (changed[..., 0, 0] == 3).all()
    assert not torch.equal(changed[..., 1:, 1:], plain[..., 1:, 1:])  # the rest has seen it


def test_no_tensors_are_given_where_none_are_asked_for(kind: Kind, pipeline: Any) -> None:
    given: list[dict[str, Tensor]] = []
    words = {"callback_on_step_end": lambda *seen: given.append(seen[3]), "callback_on_step_end_tensor_inputs": []}
    pipeline(RED, seed=1, output_type="latent", **words, **kind.small)
    assert given == [{}] * kind.num_steps


def test_interrupted_it_gives_what_is_there_and_the_next_call_is_whole(kind: Kind, pipeline: Any) -> None:
    steps: list[int] = []

    def stop(pipe: Any, step: int, timestep: Any, given: dict[str, Tensor]) -> dict[str, Tensor]:
        steps.append(step)
        pipe._interrupt = step == 2
        return given

    stopped = pipeline([RED, BLUE], seed=1, callback_on_step_end=stop, **kind.small)
    whole = pipeline([RED, BLUE], seed=1, **kind.small)
    assert steps == [0, 1, 2]
    assert stopped.model_calls[0] < whole.model_calls[0]
    assert [len(clip) for clip in whole.frames] == [kind.num_frames] * 2
    if kind.num_frames == 5:  # the second latent frame was not finished: the first is a clip of one frame
        assert [len(clip) for clip in stopped.frames] == [1, 1]
        assert torch.equal(stopped.codes[1], whole.codes[1][:1])
    else:
        assert [len(clip) for clip in stopped.frames] == [8, 8]
        assert not torch.equal(stopped.latents[0], whole.latents[0])


def test_interrupted_before_anything_is_finished_there_are_no_frames(kinds: dict[str, Kind]) -> None:
    kind = kinds["lumos1"]

    def stop(pipe: Any, *_: Any) -> None:
        pipe._interrupt = True

    output = kind()(RED, seed=1, callback_on_step_end=stop, output_type="np", **kind.small)
    assert output.frames.shape == (1, 0, 32, 64, 3)
    with pytest.raises(ValueError, match="there are no frames"):
        output.save("x.mp4")


# --- what is refused --------------------------------------------------------------------------------------------------


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "form": ({"output_type": "numpy"}, "output_type is 'numpy'; .*known are pil, np, pt, latent"),
    "form of another type": ({"output_type": 3}, "output_type is 3"),
    "return_dict": ({"return_dict": "no"}, "return_dict is 'no'; it must be True or False"),
    "none of a prompt": ({"num_images_per_prompt": 0}, "num_images_per_prompt is 0; it must be a whole number"),
    "half of a prompt": ({"num_videos_per_prompt": 1.5}, "num_videos_per_prompt is 1.5"),
    "two numbers": ({"num_videos_per_prompt": 2, "num_images_per_prompt": 3}, "they say the same: give one"),
    "no function": ({"callback_on_step_end": 3}, "callback_on_step_end is 3; it must be a function"),
    "tensors": (
        {"callback_on_step_end_tensor_inputs": ["prompt_embeds"]},
        r"callback_on_step_end_tensor_inputs is \['prompt_embeds'\]; \['latents'\] is what there is",
    ),
    "latents": ({"latents": torch.zeros(1)}, "latents is a word of diffusers .*; noise follows from seed="),
    "features": ({"prompt_embeds": torch.zeros(1)}, "prompt_embeds is a word .*; give the text itself: prompt="),
    "eta": ({"eta": 0.5}, "eta is a word of diffusers .*preset="),
    "slip": ({"num_inferense_steps": 2}, "there is no setting 'num_inferense_steps'; did you mean num_inf"),
    "returned": ({"callback_on_step_end": lambda *_: 3}, "callback_on_step_end returned int; return callback_kwargs"),
    "returned other": ({"callback_on_step_end": lambda *_: {"x": 1}}, "returned 'x', which cannot be changed here"),
    "returned shape": (
        {"callback_on_step_end": lambda *_: {"latents": torch.zeros(1)}},
        r"callback_on_step_end returned latents \[1\]; they must be \[1, ",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_has_no_meaning_is_said_with_what_to_type(kind: Kind, pipeline: Any, case: str) -> None:
    given, message = WRONG[case]
    with pytest.raises(ValueError, match=message) as caught:
        pipeline(RED, seed=1, **kind.small, **given)
    assert "\n" not in str(caught.value)


def test_what_diffusers_takes_for_nothing_is_taken(kind: Kind, pipeline: Any) -> None:
    nothing = dict.fromkeys(
        ("latents", "prompt_embeds", "callback_on_step_end", "output_type", "num_images_per_prompt")
    )
    plain, other = (pipeline(RED, seed=1, **kind.small, **words) for words in ({}, nothing))
    assert seen(plain).tolist() == seen(other).tolist()


def test_codes_are_changed_to_codes_alone(kinds: dict[str, Kind]) -> None:
    kind, values = kinds["lumos1"], iter([60, -2, -1])
    pipeline = kind()

    def change(_: Any, step: int, timestep: Any, given: dict[str, Tensor]) -> None:
        given["latents"][given["latents"] >= 0] = value

    for message in (r"they must be in 0\.\.59, or -1", "they must be in", "masked a code that was decided"):
        value = next(values)
        with pytest.raises(ValueError, match=message):
            pipeline(RED, seed=1, callback_on_step_end=change, **kind.small)


def test_arrays_take_clips_of_one_size(kinds: dict[str, Kind]) -> None:
    pipeline = kinds["lumos1"]()
    pictures = [np.zeros((90, 130, 3), np.uint8), np.zeros((130, 90, 3), np.uint8)]
    with pytest.raises(ValueError, match=r"output_type is 'np', .* differ: 9 frames of 96x64 and 9 frames of 64x96"):
        pipeline(RED, image=pictures, seed=1, output_type="np")
    assert [clip[0].size for clip in pipeline(RED, image=pictures, seed=1).frames] == [(96, 64), (64, 96)]
