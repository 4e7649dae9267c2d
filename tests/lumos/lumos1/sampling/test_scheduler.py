"""Many clips at once: each is the clip that it is alone, whatever is made, fails or is cancelled beside it."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lumos.conventions.job import Done, Event, Failed, Job, Part, Ticket
from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling import clip_job
from lumos.lumos1.sampling.clip_job import ClipJob
from lumos.lumos1.sampling.decode import generate
from lumos.lumos1.sampling.noise import GeneratorNoise
from lumos.lumos1.sampling.request import ClipRequest
from lumos.lumos1.sampling.scheduler import Scheduler

SAMPLER = SamplerConfig(num_steps=3, guidance_scale=3.0)
ADAPTIVE = {"entropy_bound": 0.9, "guidance_tolerance": 0.5, "later_steps": 0.6}
GIVEN = torch.arange(32).reshape(1, 1, 8, 4)


def asked(seed: int, *, length: int = 3, **changes: Any) -> ClipRequest:
    fields = {"grid": (8, 4), "num_latent_frames": 2, "fps": 6, "duration": 2, "sampler": SAMPLER}
    return ClipRequest(
        prompt_ids=[torch.arange(256, 256 + length)], noise=[GeneratorNoise(seed)], **{**fields, **changes}
    )


MIXED = [
    asked(0),
    asked(1, length=7, num_latent_frames=3),
    asked(2, length=5, grid=(4, 8), sampler=replace(SAMPLER, num_steps=5, mask_history_ratio=0.0)),
    asked(3, length=4, sampler=replace(SAMPLER, guidance_scale=1.0, num_steps=4)),
    asked(4, num_latent_frames=1, sampler=replace(SAMPLER, temperature=0.5, top_k=9)),
    asked(5, num_latent_frames=3, sampler=replace(SAMPLER, num_steps=6, **ADAPTIVE)),
    asked(6, length=9, given=GIVEN, num_latent_frames=3, sampler=replace(SAMPLER, random_history=True)),
    asked(7, negative_ids=[torch.tensor([256, 70])], fps=3, grid=(4, 4)),
]
"""Clips that agree in little: text, seed, length, size, steps, guidance, history, adaptive sampling, given frames."""


def alone(model: LumosForCausalLM, request: ClipRequest) -> Tensor:
    return generate(model, request).codes[0]


def codes_of(events: list[Event], ticket: Ticket) -> Tensor:
    return torch.cat([one.value.codes for one in events if isinstance(one, Part) and one.ticket == ticket])


def kinds(events: list[Event], ticket: Ticket) -> list[type]:
    return [type(one) for one in events if one.ticket == ticket]


@pytest.mark.parametrize("max_in_flight", [8, 3])
def test_every_clip_is_the_one_it_is_alone(tiny_model: LumosForCausalLM, max_in_flight: int) -> None:
    scheduler = Scheduler(max_in_flight=max_in_flight)
    tickets = [scheduler.submit(ClipJob(tiny_model, one)) for one in MIXED]
    events = list(scheduler.run())
    for request, ticket in zip(MIXED, tickets, strict=True):
        made = generate(tiny_model, request)
        own = [one for one in events if one.ticket == ticket]
        assert torch.equal(codes_of(events, ticket), made.codes[0])
        assert kinds(events, ticket) == [Part] * request.num_latent_frames + [Done]
        assert [one.value.index for one in own[:-1]] == list(range(request.num_latent_frames))
        assert own[-2].value.model_calls.equal(made.model_calls)
        assert own[0].value.is_given == (request.given is not None)


@pytest.mark.parametrize("seed", [3, 1000, 2**40])
def test_clips_that_differ_in_seed_alone_stay_apart(tiny_model: LumosForCausalLM, seed: int) -> None:
    requests = [asked(seed + index) for index in range(4)]
    scheduler = Scheduler()
    tickets = [scheduler.submit(ClipJob(tiny_model, one)) for one in requests]
    events = list(scheduler.run())
    made = [codes_of(events, ticket) for ticket in tickets]
    assert not made[0].equal(made[1])
    assert all(codes.equal(alone(tiny_model, one)) for codes, one in zip(made, requests, strict=True))


def test_all_that_are_on_their_way_share_one_pass_of_the_model(
    tiny_model: LumosForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed, passes = tiny_model.model.embed_tokens, []
    monkeypatch.setattr(embed, "forward", lambda ids, own=embed.forward: passes.append(ids.shape) or own(ids))
    scheduler = Scheduler()
    for request in MIXED:
        scheduler.submit(ClipJob(tiny_model, request))
    steps = 0
    while not scheduler.idle:
        scheduler.step()
        steps += 1
    assert len(passes) == steps


def test_a_clip_joins_while_others_are_made(tiny_model: LumosForCausalLM) -> None:
    scheduler = Scheduler()
    first = scheduler.submit(ClipJob(tiny_model, MIXED[1]))
    events = [event for _ in range(3) for event in scheduler.step()]
    second = scheduler.submit(ClipJob(tiny_model, MIXED[0]))
    events += scheduler.run()
    assert codes_of(events, first).equal(alone(tiny_model, MIXED[1]))
    assert codes_of(events, second).equal(alone(tiny_model, MIXED[0]))


def test_a_frame_is_handed_out_by_the_step_that_finishes_it(tiny_model: LumosForCausalLM) -> None:
    scheduler = Scheduler()
    ticket = scheduler.submit(ClipJob(tiny_model, asked(0)))
    steps = [[type(event) for event in scheduler.step()] for _ in range(8)]  # text, 3, history, 3
    assert steps == [[], [], [], [Part], [], [], [], [Part, Done]]
    assert scheduler.idle
    assert not scheduler.cancel(ticket)


def test_what_is_finished_makes_room_for_the_next(tiny_model: LumosForCausalLM) -> None:
    scheduler = Scheduler(max_in_flight=2)
    for request in (MIXED[4], MIXED[1], MIXED[0]):
        scheduler.submit(ClipJob(tiny_model, request))
    scheduler.step()
    assert (scheduler.num_in_flight, scheduler.num_waiting) == (2, 1)
    while not any(isinstance(event, Done) for event in scheduler.step()):
        pass
    scheduler.step()
    assert (scheduler.num_in_flight, scheduler.num_waiting) == (2, 0)


def test_cancelled_clips_say_nothing_more_and_change_nothing(tiny_model: LumosForCausalLM) -> None:
    scheduler = Scheduler(max_in_flight=2)
    jobs = [ClipJob(tiny_model, request) for request in (MIXED[0], MIXED[1], MIXED[2])]
    going, stays, waiting = (scheduler.submit(job) for job in jobs)
    scheduler.step()
    assert scheduler.cancel(going)
    assert scheduler.cancel(waiting)
    assert not scheduler.cancel(Ticket(99))
    assert jobs[0].is_done
    events = list(scheduler.run())
    assert {event.ticket for event in events} == {stays}
    assert codes_of(events, stays).equal(alone(tiny_model, MIXED[1]))


class _Breaks(GeneratorNoise):
    """Noise that ends in the second frame; it is asked clip by clip."""

    def shares(self, *, frame: int, step: int, num_positions: int) -> Tensor:
        if frame == 1:
            raise ValueError("no more noise")
        return super().shares(frame=frame, step=step, num_positions=num_positions)


def test_a_clip_that_fails_disturbs_no_other(tiny_model: LumosForCausalLM) -> None:
    scheduler = Scheduler()
    good = scheduler.submit(ClipJob(tiny_model, MIXED[1]))
    bad = scheduler.submit(ClipJob(tiny_model, replace(asked(0), noise=[_Breaks(0)])))
    events = list(scheduler.run())
    assert kinds(events, bad) == [Part, Failed]
    assert next(str(one.error) for one in events if isinstance(one, Failed)) == "no more noise"
    assert codes_of(events, good).equal(alone(tiny_model, MIXED[1]))


def test_who_breaks_the_pass_they_share_is_found_out(tiny_model: LumosForCausalLM) -> None:
    scheduler = Scheduler()
    job = ClipJob(tiny_model, asked(0))
    job.wanted[0].cache.capacity = 20  # the text fits, and no frame
    bad = scheduler.submit(job)
    good = [scheduler.submit(ClipJob(tiny_model, request)) for request in (MIXED[1], MIXED[3])]
    events = list(scheduler.run())
    assert kinds(events, bad) == [Failed]
    for ticket, request in zip(good, (MIXED[1], MIXED[3]), strict=True):
        assert codes_of(events, ticket).equal(alone(tiny_model, request))


def test_memory_that_is_full_is_said_with_what_to_do(
    tiny_model: LumosForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(clip_job, "packed_hidden", full)
    scheduler = Scheduler()
    scheduler.submit(ClipJob(tiny_model, asked(0)))
    (event,) = scheduler.step()
    assert isinstance(event, Failed)
    assert "sampling takes more memory than there is" in str(event.error)


class _Countdown:
    """A job of no model of ours."""

    def __init__(self, left: int) -> None:
        self.left, self.closed = left, False

    @property
    def is_done(self) -> bool:
        return self.left == 0

    @property
    def progress(self) -> float:
        return 0.0

    @property
    def model_calls(self) -> int:
        return 0

    def advance(self) -> list[int]:
        if self.left < 0:
            raise RuntimeError("below zero")
        self.left -= 1
        return [self.left]

    def close(self) -> None:
        self.closed = True


def test_other_jobs_go_through_the_same_queue(tiny_model: LumosForCausalLM) -> None:
    scheduler = Scheduler()
    other, broken = _Countdown(3), _Countdown(-1)
    assert isinstance(other, Job)
    first, clip, bad = (scheduler.submit(job) for job in (other, ClipJob(tiny_model, asked(0)), broken))
    events = list(scheduler.run())
    assert [one.value for one in events if isinstance(one, Part) and one.ticket == first] == [2, 1, 0]
    assert kinds(events, bad) == [Failed]
    assert codes_of(events, clip).equal(alone(tiny_model, asked(0)))
    assert other.closed
    assert broken.closed


def test_a_number_in_flight_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="max_in_flight is 0"):
        Scheduler(max_in_flight=0)
