"""What makes clips for a server: those of many jobs side by side, each a step further in turn.

Clips of one model of Lumos-1 share a pass; those of Lumina-Video go an Euler step each. Whatever is made beside it, a
clip is the one it is alone (lumos/lumos1/README.md, 10.11).
"""

from collections import deque
from collections.abc import Mapping

from lumos.conventions.job import Done, Failed, Job, Part, Ticket
from lumos.conventions.job import Event as QueueEvent
from lumos.lumos1.sampling.scheduler import Scheduler
from lumos.serve.generation.engine import Broken, FrameMade, Made, ModelGoneError, Progressed, Stopped, Tell, Work
from lumos.serve.generation.models import ServedModel


class SideBySide:
    """An engine (`lumos.serve.generation.engine`) around a `Scheduler`."""

    def __init__(self, models: Mapping[str, ServedModel], *, at_once: int) -> None:
        """Take the models, which are loaded, and how many clips may be in work together.

        Raises:
            ValueError: not a number of clips.
        """
        self._models, self._at_once = models, at_once
        self._scheduler = Scheduler(max_in_flight=at_once)
        self._submitted: dict[str, Work] = {}
        self._begun: dict[Ticket, tuple[str, Job]] = {}
        self._told: dict[Ticket, float] = {}
        self._cancelled: set[str] = set()
        self._events: deque[QueueEvent] = deque()

    @property
    def has_room(self) -> bool:
        """Whether fewer clips are in work than may be."""
        return len(self._submitted) + len(self._begun) < self._at_once

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in work."""
        return not self._submitted and not self._begun

    def submit(self, work: Work) -> None:
        """Take a clip in hand; it begins with the next step."""
        self._submitted[work.id] = work

    def cancel(self, work_id: str) -> None:
        """Make no more of a clip: it ends before the next step."""
        self._cancelled.add(work_id)

    def step(self, tell: Tell) -> None:
        """Take every clip in work one step further: a pass of the model, or an Euler step."""
        self._stop_cancelled(tell)
        self._begin_submitted(tell)
        self._events.extend(self._scheduler.step())
        for ticket, (work_id, job) in self._begun.items():
            if job.progress != self._told[ticket]:
                self._told[ticket] = job.progress
                tell(Progressed(work_id, job.progress))
        while self._events:
            self._pass_on(self._events.popleft(), tell)

    def _stop_cancelled(self, tell: Tell) -> None:
        while self._cancelled:
            work_id = self._cancelled.pop()
            ticket = next((ticket for ticket, (own_id, _) in self._begun.items() if own_id == work_id), None)
            if ticket is not None:
                self._scheduler.cancel(ticket)
                self._forget(ticket)
            elif self._submitted.pop(work_id, None) is None:  # it has ended
                continue
            tell(Stopped(work_id))

    def _begin_submitted(self, tell: Tell) -> None:
        while self._submitted:
            work = self._submitted.pop(next(iter(self._submitted)))
            try:
                job = self._model_of(work).begin(work)
            except Exception as error:  # one bad job never stops the queue, whatever a model raises
                tell(Broken(work.id, error))
                continue
            ticket = self._scheduler.submit(job)
            self._begun[ticket], self._told[ticket] = (work.id, job), 0.0

    def _model_of(self, work: Work) -> ServedModel:
        """Return the model of a clip; ModelGoneError where it is served no more, since the server was started anew."""
        if work.model not in self._models:
            others = ", ".join(self._models)
            raise ModelGoneError(
                f"the model {work.model} is served no more; ask for the video again of {others}, or have the server "
                f"started with --model {work.model} too"
            )
        return self._models[work.model]

    def _pass_on(self, event: QueueEvent, tell: Tell) -> None:
        """Tell of an event of the queue."""
        if event.ticket not in self._begun:  # cancelled, and the event was left by a step that broke off
            return
        work_id, job = self._begun[event.ticket]
        match event:
            case Part(value=images):
                for image in images:
                    tell(FrameMade(work_id, image))
            case Done():
                self._forget(event.ticket)
                tell(Made(work_id, job.model_calls))
            case Failed(error=error):
                self._forget(event.ticket)
                tell(Broken(work_id, error))

    def _forget(self, ticket: Ticket) -> None:
        del self._begun[ticket], self._told[ticket]
