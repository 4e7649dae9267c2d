"""`LuminaVideoPipeline.stream`: the words of the other pipeline, and the frames of a call, all at once at the end."""

import numpy as np
import pytest

from lumos import LuminaVideoPipeline
from lumos.media.frame_stream import FrameStream
from tests.lumos.lumina_video.tiny import tiny_lumina_folder


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> LuminaVideoPipeline:
    folder = tiny_lumina_folder(tmp_path_factory.mktemp("ckpts") / "tiny")
    return LuminaVideoPipeline.from_pretrained(folder, device="cpu", keep_encoders=True)


def test_the_frames_are_those_of_a_call_and_come_after_the_last_step(pipeline: LuminaVideoPipeline) -> None:
    steps: list[int] = []
    stream = pipeline.stream(
        "a red circle", negative_prompt="blurry", seed=5, callback=lambda index, state: steps.append(index)
    )
    assert isinstance(stream, FrameStream)
    assert stream.at_once
    assert steps == []
    first = next(stream)
    assert len(steps) == stream.settings.preset.num_steps
    whole = pipeline("a red circle", negative_prompt="blurry", seed=5)
    for streamed, frame in zip([first, *stream], whole.frames[0], strict=True):
        np.testing.assert_array_equal(np.asarray(streamed), np.asarray(frame))
    assert (stream.seed, stream.model_calls) == (5, whole.model_calls[0])


def test_what_a_call_refuses_is_refused_before_the_first_frame(pipeline: LuminaVideoPipeline) -> None:
    with pytest.raises(ValueError, match="the prompt is empty"):
        pipeline.stream(" ")
    with pytest.raises(ValueError, match="image"):
        pipeline.stream("a red circle", image="picture.png")
