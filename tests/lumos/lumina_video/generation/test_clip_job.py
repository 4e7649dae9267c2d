"""A clip of Lumina-Video, one Euler step after another."""

import numpy as np
import pytest

from lumos import LuminaVideoPipeline
from lumos.conventions.job import Job
from lumos.lumina_video.generation.clip_job import clip_job
from tests.lumos.lumina_video.tiny import tiny_lumina_folder


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> LuminaVideoPipeline:
    folder = tiny_lumina_folder(tmp_path_factory.mktemp("ckpts") / "tiny")
    return LuminaVideoPipeline.from_pretrained(folder, device="cpu", keep_encoders=True)


def test_step_by_step_it_is_the_clip_of_a_call(pipeline: LuminaVideoPipeline) -> None:
    whole = pipeline("a red circle", negative_prompt="blurry", seed=5).frames[0]
    job = clip_job(pipeline, "a red circle", negative_prompt="blurry", seed=5)
    assert isinstance(job, Job)
    parts = []
    while not job.is_done:
        parts.append(job.advance())
    assert len(parts) == job.settings.preset.num_steps + 2  # the texts, each step, the images
    assert parts[:-1] == [[]] * (len(parts) - 1)
    assert np.array_equal(np.stack(parts[-1][0]), np.stack(whole))


def test_a_picture_is_one_frame_and_that_of_a_call(pipeline: LuminaVideoPipeline) -> None:
    (whole,) = pipeline("a red circle", num_frames=1, seed=5).frames[0]
    job = clip_job(pipeline, "a red circle", num_frames=1, seed=5)
    while not job.is_done:
        frames = job.advance()
    ((picture,),) = frames
    assert np.array_equal(picture, whole)


def test_a_closed_job_has_no_step_left(pipeline: LuminaVideoPipeline) -> None:
    job = clip_job(pipeline, "a red circle", seed=5)
    job.advance()
    job.close()
    assert job.is_done


def test_what_a_call_refuses_is_refused_before_it_is_queued(pipeline: LuminaVideoPipeline) -> None:
    with pytest.raises(ValueError, match="the prompt is empty"):
        clip_job(pipeline, " ")
    with pytest.raises(ValueError, match="num_frames is 3"):
        clip_job(pipeline, "a red circle", num_frames=3)
