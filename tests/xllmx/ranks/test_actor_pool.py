"""Jobs handed out to actors, on a Ray that is made up: who gets what, who is let go, and what is given up."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from xllmx.ranks.actor_pool import ActorPool, Crew, Lost, LostError


class RayError(Exception):
    pass


class RayActorError(RayError):
    pass


class RayTaskError(RayError):
    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class MadeUpRay:
    """Calls are done in turn, the oldest first, when somebody waits; `fate` says what comes of a job of an actor."""

    exceptions = SimpleNamespace(
        RayTaskError=RayTaskError,
        RayActorError=RayActorError,
        **dict.fromkeys(("ObjectLostError", "NodeDiedError", "OutOfMemoryError"), RayActorError),
    )

    def __init__(self, fate: Callable[[int, str], Any]) -> None:
        self._fate = fate
        self.calls: dict[str, Any] = {}
        self.alive: dict[int, list[str]] = {}
        self.started = self.most_alive = 0

    def start(self) -> Any:
        number, self.started = self.started, self.started + 1
        self.alive[number] = []
        self.most_alive = max(self.most_alive, len(self.alive))
        return SimpleNamespace(number=number, load=SimpleNamespace(remote=lambda: self.ask(number, "load")))

    def ask(self, number: int, job: str) -> str:
        reference = f"{number}:{job}:{len(self.calls)}"
        self.calls[reference] = (number, job)
        if job != "load":
            self.alive[number].append(job)
        return reference

    def wait(self, references: list[str], *, num_returns: int, timeout: float) -> tuple[list[str], list[str]]:
        first = min(references, key=[*self.calls].index)
        return [first], [one for one in references if one != first]

    def get(self, reference: str) -> Any:
        number, job = self.calls[reference]
        outcome = self._fate(number, job)
        if isinstance(outcome, Exception):
            raise outcome
        if job != "load":
            self.alive[number].remove(job)
        return outcome

    def kill(self, actor: Any) -> None:
        self.alive.pop(actor.number, None)


def pool_of(ray: MadeUpRay, *, size: Callable[[], int] = lambda: 2, at_once: int = 1) -> ActorPool[str]:
    ask = lambda actor, job: ray.ask(actor.number, job)  # noqa: E731
    return ActorPool(
        ray, Crew(what="worker", start=ray.start, ask=ask, size=size, say=lambda what: None, at_once=at_once)
    )


def test_every_job_is_done_once_and_no_actor_is_left() -> None:
    ray = MadeUpRay(lambda number, job: job.upper())
    jobs = list("abcdefg")
    assert sorted(pool_of(ray, at_once=2).hand_out(jobs)) == [(job, job.upper()) for job in jobs]
    assert (ray.started, ray.alive) == (2, {})


def test_a_job_whose_actor_is_lost_is_given_to_a_new_one() -> None:
    ray = MadeUpRay(lambda number, job: RayActorError("gone") if number == 0 and job == "b" else job)
    assert sorted(pool_of(ray, at_once=2).hand_out(list("abcd"))) == [(job, job) for job in "abcd"]
    assert ray.started in (2, 3)  # 0, 1, and one in its place if there was still something to do


def test_a_job_that_costs_three_actors_is_given_up_and_its_neighbours_are_not() -> None:
    killed = []

    def fate(number: int, job: str) -> Any:
        if job == "b":
            killed.append(number)
            return RayActorError("it  died")
        return job

    ray = MadeUpRay(fate)
    found = dict(pool_of(ray, at_once=2).hand_out(list("abcd")))
    assert found.pop("b") == Lost(why="3 workers that had it were lost, the last one: it died")
    assert found == {"a": "a", "c": "c", "d": "d"}
    assert len(killed) == 3


def test_a_job_that_was_lost_once_is_given_alone() -> None:
    together: list[list[str]] = []

    def fate(number: int, job: str) -> Any:
        if job == "bad":
            together.append([*ray.alive[number]])
            return RayActorError("gone")
        return job

    ray = MadeUpRay(fate)
    dict(pool_of(ray, size=lambda: 1, at_once=2).hand_out(["bad", "a", "b", "c"]))
    assert [len(jobs) for jobs in together] == [2, 1, 1]


def test_what_an_actor_gave_up_itself_is_not_tried_again() -> None:
    asked = []

    def fate(number: int, job: str) -> Any:
        asked.append(job)
        return RayTaskError(LostError("its helpers died")) if job == "b" else job

    found = dict(pool_of(MadeUpRay(fate)).hand_out(list("abc")))
    assert found == {"a": "a", "b": Lost(why="its helpers died"), "c": "c"}
    assert asked.count("b") == 1


def test_what_an_actor_raises_is_raised_and_no_actor_is_left() -> None:
    ray = MadeUpRay(lambda number, job: RayTaskError(ValueError("no")) if job == "b" else job)
    with pytest.raises(ValueError, match=r"^no$"):
        dict(pool_of(ray).hand_out(list("abc")))
    assert ray.alive == {}


def test_actors_that_are_lost_while_they_load_end_the_work() -> None:
    ray = MadeUpRay(lambda number, job: RayActorError("out of memory"))
    with pytest.raises(
        ValueError, match=r"3 workers, one after the other, were lost while they loaded \(out of memory\)"
    ):
        dict(pool_of(ray).hand_out(list("abc")))


def test_actors_come_and_go_with_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xllmx.ranks.actor_pool._LOOK_S", 0.0)
    room, seen = [1], []
    ray = MadeUpRay(lambda number, job: job)
    for done, _ in enumerate(pool_of(ray, size=lambda: room[0]).hand_out([str(job) for job in range(20)])):
        room[0] = {5: 4, 12: 1}.get(done, room[0])
        seen.append(len(ray.alive))
    assert (max(seen[:5]), max(seen[6:12]), seen[-1]) == (1, 4, 1)
