"""Many clips at once: which are on their way, and which step of them together.

scheduler = Scheduler()
tickets = [scheduler.submit(clip_job(pipeline, prompt, seed=1)) for prompt in prompts]    # lumos.lumos1.generation.many
while not scheduler.idle:
    for event in scheduler.step():
        ...
"""

from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Annotated, Any

from lumos.conventions.job import Done, Event, Failed, Job, Part, Ticket
from lumos.lumos1.sampling.clip_job import ClipJob, advance_together
from xllmx.settings.number_range import COUNT, check_number


class Scheduler:
    """Jobs of one queue, the first come first; single-threaded.

    A step takes each job that is on its way one step further: clips of Lumos-1 share a pass of the model, whatever
    their settings and however far they are; any other job (of Lumina-Video) goes alone. A job that comes begins with
    the next step, and one that is finished, fails or is cancelled makes room for the next. None changes what another
    makes.
    """

    def __init__(self, *, max_in_flight: int = 8) -> None:
        """Begin empty.

        Args:
            max_in_flight: jobs that are on their way together: what they hold of keys and values is in memory.

        Raises:
            ValueError: not a number of jobs.
        """
        check_number("max_in_flight", Annotated[int, COUNT], max_in_flight)
        self._max_in_flight = max_in_flight
        self._numbers = count()
        self._waiting: deque[tuple[Ticket, Job]] = deque()
        self._in_flight: dict[Ticket, Job] = {}

    @property
    def idle(self) -> bool:
        """Whether there is no job left."""
        return not self._waiting and not self._in_flight

    @property
    def num_waiting(self) -> int:
        """Jobs that have not begun."""
        return len(self._waiting)

    @property
    def num_in_flight(self) -> int:
        """Jobs that have begun."""
        return len(self._in_flight)

    def submit(self, job: Job) -> Ticket:
        """Put a job at the end of the queue; return what names it in events."""
        ticket = Ticket(next(self._numbers))
        self._waiting.append((ticket, job))
        return ticket

    def cancel(self, ticket: Ticket) -> bool:
        """Drop a job, of which there will be no further event; return whether it was there."""
        for entry in self._waiting:
            if entry[0] == ticket:
                self._waiting.remove(entry)
                entry[1].close()
                return True
        job = self._in_flight.pop(ticket, None)
        if job is not None:
            job.close()
        return job is not None

    def step(self) -> list[Event]:
        """Go one step with every job that is on its way; return what happened, in the order of the tickets."""
        while self._waiting and len(self._in_flight) < self._max_in_flight:
            ticket, job = self._waiting.popleft()
            self._in_flight[ticket] = job
        outcomes = self._advance()
        return [event for ticket in list(self._in_flight) for event in self._events(ticket, outcomes[ticket])]

    def run(self) -> Iterator[Event]:
        """Yield what happens until there is no job left; others may be handed in meanwhile."""
        while not self.idle:
            yield from self.step()

    def _advance(self) -> dict[Ticket, list[Any] | Exception]:
        """Take every job one step further; return what each finished, or why it cannot go on."""
        outcomes: dict[Ticket, list[Any] | Exception] = {}
        together: dict[int, dict[Ticket, ClipJob]] = {}
        for ticket, job in self._in_flight.items():
            if isinstance(job, ClipJob):
                together.setdefault(id(job.model), {})[ticket] = job
                continue
            try:
                outcomes[ticket] = job.advance()
            except Exception as error:
                outcomes[ticket] = error
        for clips in together.values():
            outcomes.update(zip(clips, advance_together(list(clips.values())), strict=True))
        return outcomes

    def _events(self, ticket: Ticket, outcome: list[Any] | Exception) -> Iterator[Event]:
        job = self._in_flight[ticket]
        if isinstance(outcome, Exception):
            yield Failed(ticket=ticket, error=outcome)
        else:
            yield from (Part(ticket=ticket, value=value) for value in outcome)
            if job.is_done:
                yield Done(ticket=ticket)
        if job.is_done or isinstance(outcome, Exception):
            del self._in_flight[ticket]
            job.close()
