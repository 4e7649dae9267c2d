"""Jobs handed out to actors of Ray: to as many as the cluster has room for, and once more where an actor is lost.

Ray could restart actors and repeat calls by itself (`max_restarts`, `max_task_retries`). It is not asked to, since it
counts by call and not by job: a job that kills whoever takes it (a file on which a decoder crashes) would be repeated
with every innocent job of the same actor, or for ever. Here a lost actor is one `RayActorError`; its jobs are counted,
and given to others, and a new actor is asked for, wherever there is room then. A job that was lost once is given to an
actor alone, so that from then on it is known which one is at fault.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

J = TypeVar("J")

MOST_LOSSES = 3
"""Actors that a job may cost; what cost so many is left."""
_LOOK_S = 5.0
"""Between two looks at how large the cluster is."""
_MOMENT_S = 1.0
_SILENCE_S = 60.0
"""After which it is said that no actor has started."""
_SHOWN = 200
"""Characters of what Ray says of a loss."""


class LostError(RuntimeError):
    """Raised in an actor for a job whose own helpers were lost so often that it is given up; it is not tried again."""


def losses(ray: Any) -> tuple[type[Exception], ...]:
    """The errors of Ray that mean that a process or a machine was lost, or what it had made."""
    names = ("RayActorError", "ObjectLostError", "NodeDiedError", "OutOfMemoryError")
    return tuple(getattr(ray.exceptions, name) for name in names)


@dataclass(frozen=True, kw_only=True)
class Lost:
    """What comes of a job that was given up."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Crew(Generic[J]):
    """How actors are made and asked."""

    what: str
    """What one is called, for people: `encoder`."""
    start: Callable[[], Any]
    """A new actor, which may have to wait until there is room for it; it has a method `load`."""
    ask: Callable[[Any, J], Any]
    """Gives a job to an actor: Ray's reference to what comes of it."""
    size: Callable[[], int]
    """How many actors the cluster has room for now."""
    say: Callable[[str], None]
    """Tells people something."""
    at_once: int = 1
    """Jobs that an actor has at a time."""


@dataclass(kw_only=True, eq=False)
class _Member:
    actor: Any
    loading: Any
    """Reference to the end of its loading; None once it is loaded."""
    jobs: dict[Any, int] = field(default_factory=dict)
    """The numbers of those it has, by the references to what comes of them."""


class ActorPool(Generic[J]):
    """Hands out jobs, in their order, to whichever actor is free."""

    def __init__(self, ray: Any, crew: Crew[J]) -> None:
        self._ray, self._crew = ray, crew
        self._members: list[_Member] = []
        self._losses: Counter[int] = Counter()
        self._lost_loading = 0
        self._size, self._looked = 0, float("-inf")

    def hand_out(self, jobs: Sequence[J]) -> Generator[tuple[J, Any], None, None]:
        """Yield each job with what an actor made of it, or with a `Lost`, as they come.

        All actors are gone afterwards, however it ends.

        Raises:
            Exception: what an actor raised, other than `LostError`, as it raised it.
            ValueError: one actor after the other is lost while it loads.
        """
        waiting = deque(range(len(jobs)))
        say_at: float | None = time.monotonic() + _SILENCE_S
        try:
            while waiting or any(member.jobs for member in self._members):
                self._fit(len(waiting))
                self._give(waiting, jobs)
                if say_at is not None and time.monotonic() > say_at:
                    say_at = self._say_silence()
                for number, outcome in self._outcomes(waiting):
                    yield jobs[number], outcome
        finally:
            for member in self._members:
                self._ray.kill(member.actor)
            self._members = []

    def _fit(self, num_waiting: int) -> None:
        """Let go of actors that have nothing to do, and ask for those that would have something."""
        if time.monotonic() - self._looked >= _LOOK_S:
            self._size, self._looked = self._crew.size(), time.monotonic()
        wanted = min(self._size, num_waiting + sum(bool(member.jobs) for member in self._members))
        idle = sorted((one for one in self._members if not one.jobs), key=lambda one: one.loading is None)
        for member in idle[: max(0, len(self._members) - wanted)]:
            self._members.remove(member)
            self._ray.kill(member.actor)
        while len(self._members) < wanted:
            actor = self._crew.start()
            self._members.append(_Member(actor=actor, loading=actor.load.remote()))

    def _give(self, waiting: deque[int], jobs: Sequence[J]) -> None:
        while waiting and (able := [one for one in self._members if self._may_take(one, waiting[0])]):
            member, number = min(able, key=lambda one: len(one.jobs)), waiting.popleft()
            member.jobs[self._crew.ask(member.actor, jobs[number])] = number

    def _may_take(self, member: _Member, number: int) -> bool:
        if member.loading is not None or len(member.jobs) >= self._crew.at_once:
            return False
        return not member.jobs or not any(self._losses[one] for one in (number, *member.jobs.values()))

    def _outcomes(self, waiting: deque[int]) -> Iterator[tuple[int, Any]]:
        """The jobs that have come to an end within a moment; what was lost and is tried again is put into `waiting`."""
        whose = {ref: member for member in self._members for ref in (member.loading, *member.jobs) if ref is not None}
        if not whose:  # there is no room for any actor, for now
            time.sleep(_MOMENT_S)
            return
        done, _ = self._ray.wait([*whose], num_returns=1, timeout=_MOMENT_S)
        for ref in done:
            member = whose[ref]
            if member not in self._members:  # lost with another of its jobs
                continue
            try:
                outcome = self._ray.get(ref)
            except self._ray.exceptions.RayTaskError as error:
                if not isinstance(error.cause, LostError):
                    raise error.cause from None
                outcome = Lost(why=str(error.cause))
            except losses(self._ray) as error:
                yield from self._lose(member, error, waiting)
                continue
            if ref == member.loading:
                member.loading, self._lost_loading = None, 0
            else:
                yield member.jobs.pop(ref), outcome

    def _lose(self, member: _Member, error: Exception, waiting: deque[int]) -> Iterator[tuple[int, Lost]]:
        """Let go of an actor that was lost; yield those of its jobs that are given up."""
        self._members.remove(member)
        self._ray.kill(member.actor)
        why = " ".join(str(error).split())[:_SHOWN]
        if member.loading is not None:
            self._lost_loading += 1
            if self._lost_loading >= MOST_LOSSES:
                lost = f"{MOST_LOSSES} {self._crew.what}s, one after the other, were lost while they loaded ({why})"
                raise ValueError(f"{lost}; look at their memory, and into Ray's logs (/tmp/ray/session_latest/logs)")
        for number in reversed(member.jobs.values()):
            self._losses[number] += 1
            if self._losses[number] < MOST_LOSSES:
                waiting.appendleft(number)
            else:
                yield number, Lost(why=f"{MOST_LOSSES} {self._crew.what}s that had it were lost, the last one: {why}")

    def _say_silence(self) -> float | None:
        """Say it where no actor has started yet; return when to look again."""
        if all(member.loading is not None for member in self._members):
            self._crew.say(
                f"still waiting for Ray to start the first {self._crew.what}; ray status tells what it lacks"
            )
        return None
