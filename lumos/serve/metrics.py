"""What is counted for Prometheus (`GET /metrics`); no prompt, no id and no address of a client is in it."""

from collections import Counter as Counted
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from lumos.serve.storage.jobs import Job

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_CLIPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
_RECENT = 0.2
"""Weight of the last job in the running mean."""


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.mean_job_s = 10.0
        """Seconds that jobs have taken lately."""
        given: dict[str, Any] = {"registry": self.registry}
        self._jobs = Counter("lumos_jobs", "Jobs that ended", ["model", "kind", "status"], **given)
        self._frames = Counter("lumos_frames", "Frames made", ["model"], **given)
        self._requests = Counter("lumos_requests", "Requests answered", ["method", "route", "status"], **given)
        self._waited = Histogram("lumos_queue_seconds", "Time in the queue", ["model"], buckets=_SECONDS, **given)
        self._first = Histogram(
            "lumos_first_frame_seconds", "From the beginning of a job", ["model"], buckets=_SECONDS, **given
        )
        self._took = Histogram("lumos_job_seconds", "Time in work", ["model", "kind"], buckets=_SECONDS, **given)
        self._queued = Gauge("lumos_jobs_queued", "Jobs that wait", **given)
        self._working = Gauge("lumos_jobs_in_progress", "Jobs in work", **given)
        self._together = Histogram(
            "lumos_clips_per_step", "Clips that a step took further together", ["model"], buckets=_CLIPS, **given
        )
        self._viewers = Gauge("lumos_viewers", "Connections that watch frames", **given)
        self.num_viewers = 0
        """Connections that watch now."""

    def watch_queue(self, queued: Callable[[], float], working: Callable[[], float]) -> None:
        """Have the length of the queue and the number of jobs in work be asked for when they are read."""
        self._queued.set_function(queued)
        self._working.set_function(working)

    @contextmanager
    def viewing(self) -> Iterator[None]:
        """A context of one connection that watches."""
        self.num_viewers += 1
        self._viewers.set(self.num_viewers)
        try:
            yield
        finally:
            self.num_viewers -= 1
            self._viewers.set(self.num_viewers)

    def begun(self, job: Job, *, waited_s: float) -> None:
        """Count a job that was begun."""
        self._waited.labels(job.request.model).observe(waited_s)

    def step(self, models: Iterable[str]) -> None:
        """Count a step of what is in work, given the model of each job: those of one share the pass."""
        for model, number in Counted(models).items():
            self._together.labels(model).observe(number)

    def first_frame(self, job: Job, *, after_s: float) -> None:
        """Count the time to a job's first frame."""
        self._first.labels(job.request.model).observe(after_s)

    def frame(self, job: Job) -> None:
        """Count a frame."""
        self._frames.labels(job.request.model).inc()

    def ended(self, job: Job, status: str, *, took_s: float | None = None) -> None:
        """Count a job that ended, as completed or failed or deleted."""
        self._jobs.labels(job.request.model, job.kind, status).inc()
        if took_s is not None:
            self._took.labels(job.request.model, job.kind).observe(took_s)
            self.mean_job_s += _RECENT * (took_s - self.mean_job_s)

    def request(self, method: str, route: str, status: int) -> None:
        """Count a request; `route` is the pattern of its path."""
        self._requests.labels(method, route, str(status)).inc()

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self.registry)
