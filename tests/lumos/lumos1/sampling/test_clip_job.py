"""A clip as a job: what it is made of is checked before it is queued; what it holds goes with it."""

import weakref
from dataclasses import replace

import pytest
import torch

from lumos.conventions.job import Job
from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling.clip_job import ClipJob, advance_together
from lumos.lumos1.sampling.decode import generate
from lumos.lumos1.sampling.noise import NoNoise
from lumos.lumos1.sampling.request import ClipRequest

REQUEST = ClipRequest(
    prompt_ids=[torch.tensor([256, 70, 71])],
    grid=(8, 4),
    num_latent_frames=2,
    fps=6,
    duration=2,
    sampler=SamplerConfig(num_steps=2, guidance_scale=2.0),
    noise=[NoNoise()],
)


def test_step_by_step_it_is_the_clip_of_a_call(tiny_model: LumosForCausalLM) -> None:
    job, frames = ClipJob(tiny_model, REQUEST, shown=lambda frame: frame.codes[0]), []
    assert isinstance(job, Job)
    while not job.is_done:
        frames += job.advance()
    assert torch.equal(torch.stack(frames), generate(tiny_model, REQUEST).codes[0])


LONG = replace(REQUEST, num_latent_frames=6)
WINDOWED = replace(LONG, window_frames=3, sampler=replace(REQUEST.sampler, history_frames=2))
FROM_CLIP = replace(WINDOWED, sampler=replace(WINDOWED.sampler, history_positions="clip"))
GIVEN = torch.arange(64).remainder(50).reshape(1, 2, 8, 4)


@pytest.mark.parametrize(
    "request_",
    [
        WINDOWED,
        replace(FROM_CLIP, given=GIVEN),
        replace(LONG, given=GIVEN, changes={3: [torch.tensor([256, 80])]}),
        replace(WINDOWED, changes={1: [torch.tensor([256, 80])], 4: [torch.tensor([256, 81, 82])]}),
    ],
    ids=["window", "positions of the clip", "given and changed", "window and changed"],
)
def test_windows_and_changes_are_those_of_a_call(tiny_model: LumosForCausalLM, request_: ClipRequest) -> None:
    job, frames = ClipJob(tiny_model, request_), []
    while not job.is_done:
        frames += job.advance()
    whole = generate(tiny_model, request_)
    assert torch.equal(torch.cat([frame.codes for frame in frames]), whole.codes[0])
    assert torch.equal(frames[-1].model_calls, whole.model_calls)


def test_what_cannot_be_made_is_refused_before_it_is_queued(tiny_model: LumosForCausalLM) -> None:
    with pytest.raises(ValueError, match="prompt_ids has 2 entries; a job is one clip"):
        ClipJob(tiny_model, replace(REQUEST, prompt_ids=REQUEST.prompt_ids * 2, noise=[NoNoise()] * 2))
    with pytest.raises(ValueError, match="over max_position_embeddings=400"):
        ClipJob(tiny_model, replace(REQUEST, num_latent_frames=30))
    with pytest.raises(ValueError, match="given holds codes"):
        ClipJob(tiny_model, replace(REQUEST, given=torch.full((1, 1, 8, 4), 10**6)))


def test_a_closed_job_lets_its_keys_and_values_go(tiny_model: LumosForCausalLM) -> None:
    job = ClipJob(tiny_model, REQUEST)
    job.advance()
    held = weakref.ref(job.wanted[0].cache)
    job.close()
    assert job.is_done
    assert held() is None


def test_what_is_shown_may_fail_for_one_alone(tiny_model: LumosForCausalLM) -> None:
    def fails(frame: object) -> object:
        raise OSError("no room")

    jobs = [ClipJob(tiny_model, REQUEST, shown=fails), ClipJob(tiny_model, REQUEST)]
    for _ in range(3):  # the text and both refinements of the first frame
        outcomes = advance_together(jobs)
    assert isinstance(outcomes[0], OSError)
    assert isinstance(outcomes[1], list)
    assert len(outcomes[1]) == 1
