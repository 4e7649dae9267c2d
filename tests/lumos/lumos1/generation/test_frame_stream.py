"""`LumosPipeline.stream`: the frames of a call, one latent frame after another, and what is known meanwhile."""

import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lumos.lumos1.pipeline import LumosPipeline
from lumos.lumos1.sampling import decode
from lumos.lumos1.sampling.frame_decoder import FrameDecoder
from lumos.media.frame_stream import FrameStream
from tests.model_folder import make_model_folder


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> LumosPipeline:
    return LumosPipeline.from_pretrained(make_model_folder(tmp_path_factory.mktemp("ckpts") / "tiny"), device="cpu")


def pixels(frames: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(frame) for frame in frames])


@pytest.mark.parametrize("how", [{}, {"num_frames": 7}, {"num_frames": 1}, {"negative_prompt": "a blue square"}])
def test_streamed_frames_are_those_of_a_call(pipeline: LumosPipeline, how: dict[str, object]) -> None:
    whole = pipeline("a red circle", seed=4, **how)
    stream = pipeline.stream("a red circle", seed=4, **how)
    assert isinstance(stream, FrameStream)
    frames = list(stream)
    assert (pixels(frames) == pixels(whole.frames[0])).all()
    assert (stream.seed, stream.settings, stream.model_calls) == (4, whole.settings[0], whole.model_calls[0])


def test_a_given_picture_comes_first(pipeline: LumosPipeline) -> None:
    picture = Image.fromarray(np.random.RandomState(0).randint(0, 256, (64, 96, 3), dtype=np.uint8))
    whole = pipeline("a red circle", image=picture, seed=4)
    told: list[int] = []
    stream = pipeline.stream("a red circle", image=picture, seed=4, callback=lambda index, codes: told.append(index))
    assert (pixels(list(stream)) == pixels(whole.frames[0])).all()
    assert told == [1, 2]


def test_no_frame_is_made_before_it_is_asked_for(pipeline: LumosPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    refined = decode._refined
    monkeypatch.setattr(
        decode, "_refined", lambda *one, frame, **how: made.append(frame) or refined(*one, frame=frame, **how)
    )
    stream = pipeline.stream("a red circle", seed=1)
    assert made == []
    next(stream)
    assert made == [0]
    for _ in range(4):
        next(stream)
    assert made == [0, 1]
    stream.close()
    assert list(stream) == []
    assert made == [0, 1]


def test_a_closed_stream_lets_the_history_go(pipeline: LumosPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[weakref.ref[FrameDecoder]] = []
    read_text = FrameDecoder.read_text
    monkeypatch.setattr(FrameDecoder, "read_text", lambda one: held.append(weakref.ref(one)) or read_text(one))
    stream = pipeline.stream("a red circle", seed=1)
    next(stream)
    assert held[0]() is not None
    stream.close()
    assert held[0]() is None


def test_who_shows_how_far_it_is_cannot_stop_it(pipeline: LumosPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pixels(pipeline("a red circle", seed=4).frames[0])
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(pipeline, "on_refinement", lambda *one: told.append(one) or True)  # as `tqdm.update` answers
    assert (pixels(list(pipeline.stream("a red circle", seed=4))) == whole).all()
    assert (pixels(pipeline("a red circle", seed=4).frames[0]) == whole).all()
    assert len(told) == 2 * 3 * 2


def test_streams_may_be_taken_in_turn(pipeline: LumosPipeline) -> None:
    first, second = (pipeline.stream("a red circle", seed=seed) for seed in (1, 2))
    mixed = list(zip(first, second, strict=True))
    for seed, frames in zip((1, 2), zip(*mixed, strict=True), strict=True):
        assert (pixels(list(frames)) == pixels(pipeline("a red circle", seed=seed).frames[0])).all()


def test_between_two_frames_gradients_are_as_the_caller_has_them(pipeline: LumosPipeline) -> None:
    stream = pipeline.stream("a red circle", seed=1)
    next(stream)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_what_a_call_refuses_is_refused_before_the_first_frame(pipeline: LumosPipeline) -> None:
    with pytest.raises(ValueError, match="width is 100"):
        pipeline.stream("a red circle", width=100)
    with pytest.raises(ValueError, match="the prompt is empty"):
        pipeline.stream(" ")
    with pytest.raises(ValueError, match="decode_window is 0"):
        pipeline.stream("a red circle", decode_window=0)


def test_a_window_of_decoding_is_for_pairs_that_carry_no_state(pipeline: LumosPipeline, tmp_path: Path) -> None:
    assert not pipeline.visual.carries_state
    frames = list(pipeline.stream("a red circle", seed=4, decode_window=1))
    assert (
        pixels(frames) == pixels(pipeline("a red circle", seed=4).frames[0])
    ).all()  # this one looks back at nothing
