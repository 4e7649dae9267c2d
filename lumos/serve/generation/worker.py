"""The thread that owns the models: takes jobs from the store, has the engine make them, writes what comes of it.

Whatever goes wrong with a job ends that job. A store that cannot be written to (a full disk) is tried again until it
can be, or the server ends.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from functools import partial

from lumos.media.media_error import MediaError
from lumos.serve.generation.engine import (
    Broken,
    Engine,
    Event,
    FrameMade,
    Made,
    ModelGoneError,
    Progressed,
    Stopped,
    Work,
)
from lumos.serve.generation.feeds import Feeds
from lumos.serve.generation.recording import Recording, encoded
from lumos.serve.limits import LONGEST_MESSAGE
from lumos.serve.metrics import Metrics
from lumos.serve.storage import files
from lumos.serve.storage.files import JobFiles
from lumos.serve.storage.jobs import Job
from lumos.serve.storage.store import JobStore
from xllmx.disk.files import WriteError, disk_error

_LOG = logging.getLogger(__name__)
_LOOK_S = 60.0
"""Between two looks at what has expired."""
_AGAIN_S = 1.0
"""Between two tries to write to a full disk."""


class Worker:
    """Makes jobs until it is stopped."""

    def __init__(
        self, engine: Engine, store: JobStore, kept: JobFiles, *, feeds: Feeds, metrics: Metrics, keep_s: float
    ) -> None:
        """Take what it works with; `keep_s` is how long finished jobs stay."""
        self._engine, self._store, self._files = engine, store, kept
        self._feeds, self._metrics, self._keep_s = feeds, metrics, keep_s
        self._thread = threading.Thread(target=self._run, name="lumos-worker", daemon=True)
        self._wake, self._stopping, self._draining = threading.Event(), threading.Event(), threading.Event()
        self._recordings: dict[str, Recording] = {}
        self._begun: dict[str, float] = {}
        self._looked, self._since = 0.0, 0.0

    @property
    def is_alive(self) -> bool:
        """Whether it works."""
        return self._thread.is_alive()

    @property
    def is_idle(self) -> bool:
        """Whether no job is in work."""
        return not self._recordings

    def start(self) -> None:
        """Begin: first what an earlier server left, then what waits."""
        self._since = time.time()
        self._store.recover(keep_s=self._keep_s)
        self._files.recover(self._store.ids())
        self._thread.start()

    def wake(self) -> None:
        """Have it look for a job that has just come."""
        self._wake.set()

    def cancel(self, job_id: str) -> None:
        """Make no more of a job that is in work."""
        self._engine.cancel(job_id)

    def drain(self) -> None:
        """Begin no job any more; those in work go on."""
        self._draining.set()

    def stop(self, *, within_s: float) -> None:
        """End at the next refinement; jobs in work wait again, for the next start."""
        self._draining.set()
        self._stopping.set()
        for job_id in list(self._recordings):
            self._engine.cancel(job_id)
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(within_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._wake.clear()
                self._look_for_expired()
                self._fill()
                if self._engine.is_idle:
                    self._wake.wait(_LOOK_S)
                else:
                    models = [one.job.request.model for one in self._recordings.values()]
                    self._engine.step(self._told)
                    self._metrics.step(models)
            except sqlite3.Error as error:
                _LOG.error("the store of jobs cannot be used (%s); it is tried again", error)
                self._stopping.wait(_AGAIN_S)
            except Exception:  # an engine's mistake must not end the queue
                _LOG.exception("a step of the engine failed")
                self._stopping.wait(_AGAIN_S)
        while not self._engine.is_idle:  # what is in work ends before its models go
            for job_id in list(self._recordings):
                self._engine.cancel(job_id)
            self._engine.step(self._told)

    def _fill(self) -> None:
        """Give the engine as many jobs as it takes; one that was in work when a server was killed is made alone."""
        while self._engine.has_room and not self._draining.is_set():
            if any(one.job.attempts > 1 for one in self._recordings.values()):
                return
            job = self._store.take(beside_others=bool(self._recordings))
            if job is None:
                return
            self._begin(job)

    def _begin(self, job: Job) -> None:
        request = job.request
        try:
            self._files.remove_made(job.id, job.kind)
            self._recordings[job.id] = Recording(job, self._files)
            self._begun[job.id] = time.monotonic()
            if self._is_first_time(job):
                self._metrics.begun(job, waited_s=(job.started_at or 0.0) - job.created_at)
            self._engine.submit(
                Work(
                    id=job.id,
                    model=request.model,
                    prompt=request.prompt,
                    negative_prompt=request.negative_prompt,
                    picture=self._files.of(job.id, files.PICTURE) if request.has_picture else None,
                    before=self._files.of(job.id, files.BEFORE) if request.num_before else None,
                    then=request.then,
                    seed=request.seed,
                    given=request.given,
                )
            )
            if self._store.get(job.id) is None:  # deleted before the engine knew of it
                self._engine.cancel(job.id)
        except Exception as error:  # whatever one job's files or model raise is that job's end
            self._engine.cancel(job.id)
            self._fail(job, error)

    def _told(self, event: Event) -> None:
        recording = self._recordings.get(event.id)
        if recording is None:  # it has failed here, and the engine was told
            return
        job = recording.job
        match event:
            case FrameMade(image=image):
                self._add(recording, image)
            case Progressed(share=share):
                self._feeds.of(job.id).advance(share)
            case Made(model_calls=calls):
                self._complete(recording, calls)
            case Broken(error=error):
                self._fail(job, error)
            case Stopped():
                self._forget(job)
                if self._until_written(partial(self._store.put_back, job.id)) is False:
                    self._files.remove(job.id)  # it was deleted
                self._feeds.end(job.id)

    def _add(self, recording: Recording, image: object) -> None:
        job = recording.job
        try:
            if not recording.add(image):  # type: ignore[arg-type]
                return
            self._feeds.of(job.id).add(encoded(image))  # type: ignore[arg-type]
        except Exception as error:  # a full disk, most likely
            self._engine.cancel(job.id)
            self._fail(job, error)
            return
        if recording.num_new == 1 and self._is_first_time(job):
            self._metrics.first_frame(job, after_s=time.monotonic() - self._begun[job.id])
        self._metrics.frame(job)

    def _complete(self, recording: Recording, model_calls: int) -> None:
        job = recording.job
        took_s = time.monotonic() - self._begun[job.id]
        try:
            recording.finish()
        except Exception as error:  # a full disk, most likely
            self._fail(job, error)
            return
        outcome = {"model_calls": model_calls, "inference_time_s": round(took_s, 3)}
        is_kept = self._until_written(partial(self._store.complete, job.id, outcome, keep_s=self._keep_s))
        if is_kept is False:  # deleted in the last moment, and counted as that
            self._files.remove(job.id)
        elif is_kept:
            self._metrics.ended(job, "completed", took_s=took_s)
        self._recordings.pop(job.id)
        self._begun.pop(job.id)
        self._feeds.end(job.id)

    def _fail(self, job: Job, error: Exception) -> None:
        code, message = said_of(error)
        if code == "server_error":
            _LOG.error("job %s failed", job.id, exc_info=error)
        else:
            _LOG.warning("job %s failed: %s", job.id, error)
        self._forget(job, error)
        fail = partial(self._store.fail, job.id, code=code, message=message, keep_s=self._keep_s)
        is_kept = self._until_written(fail)
        if is_kept is False:  # deleted meanwhile, and counted as that
            self._files.remove(job.id)
        elif is_kept:
            self._metrics.ended(job, "failed")
        self._feeds.end(job.id)

    def _forget(self, job: Job, error: Exception | None = None) -> None:
        """Leave nothing of a job that is not finished."""
        recording = self._recordings.pop(job.id, None)
        self._begun.pop(job.id, None)
        if recording is not None:
            recording.abandon(error)

    def _until_written(self, write: Callable[[], bool]) -> bool | None:
        """Write to the store, again and again while the disk is full; None where the server ends before."""
        while True:
            try:
                return write()
            except sqlite3.Error as error:
                _LOG.error("the store of jobs cannot be written to (%s); it is tried again", error)
                if self._stopping.wait(_AGAIN_S):
                    return None

    def _look_for_expired(self) -> None:
        if time.monotonic() - self._looked >= _LOOK_S or not self._looked:
            for job_id in self._store.expired(now=time.time()):
                self._files.remove(job_id)  # first, so that a full disk has room for its being forgotten
                self._store.delete(job_id)
            self._looked = time.monotonic()

    def _is_first_time(self, job: Job) -> bool:
        """Whether no earlier server began it: what one has counted is not counted again."""
        return job.started_at is not None and job.started_at >= self._since


def said_of(error: Exception) -> tuple[str, str]:
    """Return code and message of what made a job fail, for its client: nothing of the server's disk or code."""
    if isinstance(error, WriteError) or (not isinstance(error, ValueError) and disk_error(error) is not None):
        found = error.__cause__ if isinstance(error, WriteError) else error
        reason = getattr(found, "strerror", None) or "an error of the disk"
        return "storage_error", f"the server could not write the video: {reason}"
    if isinstance(error, MediaError):
        return "invalid_request", f"a file of the request cannot be used: {error.reason}"
    if isinstance(error, ModelGoneError):
        return "model_not_found", str(error)[:LONGEST_MESSAGE]
    if isinstance(error, ValueError):
        return "invalid_request", " ".join(str(error).split())[:LONGEST_MESSAGE]
    return "server_error", f"the model failed ({type(error).__name__}); the server's log says more"
