"""All parts of one server, put together; jobs are accepted and deleted here, whatever they are of."""

import shutil
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from lumos.serve.faults import RequestError, is_full
from lumos.serve.generation.engine import Engine
from lumos.serve.generation.feeds import Feeds
from lumos.serve.generation.models import ServedModel
from lumos.serve.generation.worker import Worker
from lumos.serve.limits import Limits
from lumos.serve.metrics import Metrics
from lumos.serve.requests.asking import Asker
from lumos.serve.requests.idempotency import SentKey
from lumos.serve.storage import files
from lumos.serve.storage.files import JobFiles
from lumos.serve.storage.jobs import UNFINISHED, Job, JobRequest, Kind, new_id
from lumos.serve.storage.store import JobStore, QueueFullError

_LONGEST_WAIT_S = 600


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What the routes work with."""

    models: Mapping[str, ServedModel]
    """By name; the first one is taken where none is named."""
    limits: Limits
    store: JobStore
    files: JobFiles
    worker: Worker
    asker: Asker
    feeds: Feeds = field(default_factory=Feeds)
    metrics: Metrics = field(default_factory=Metrics)
    draining: threading.Event = field(default_factory=threading.Event)
    """Set: no job is accepted any more."""

    @property
    def keep_s(self) -> float:
        """For which finished jobs are there."""
        return self.limits.keep_hours * 3600

    def accept(
        self,
        kind: Kind,
        request: JobRequest,
        *,
        picture: Image.Image | None = None,
        copies: Mapping[str, Path] | None = None,
        key: SentKey | None = None,
    ) -> Job:
        """Return a new job, which is kept from now on and waits.

        Args:
            kind: what it makes.
            request: what is asked for.
            picture: its first frame.
            copies: names of files of its own -> what they are copies of.
            key: what a client names a request by that it may send twice.

        Raises:
            RequestError: the queue is full, the server ends.
            sqlite3.Error, OSError: the disk is full and the like; nothing is kept (`lumos.serve.faults.storage_fault`).
        """
        self._require_open()
        if key is not None:
            request = replace(request, sent=key.digest)
        job_id = new_id(kind)
        try:
            if picture is not None:
                picture.save(self.files.make(job_id) / files.PICTURE, compress_level=1)  # six times as fast
            for name, source in (copies or {}).items():
                shutil.copyfile(source, self.files.make(job_id) / name)
            most = self.limits.most_queued
            text = key.text if key is not None else None
            job, is_new = self.store.add(kind, request, most_queued=most, job_id=job_id, key=text)
        except Exception as error:
            self.files.remove(job_id)
            if isinstance(error, QueueFullError):
                raise self._queue_is_full() from None
            if isinstance(error, FileNotFoundError) and not all(path.exists() for path in (copies or {}).values()):
                raise RequestError(404, "the video was deleted in this moment", code="video_not_found") from error
            raise
        if not is_new:
            self.files.remove(job_id)
        self.worker.wake()
        return job

    def sent_before(self, key: SentKey | None) -> Job | None:
        """Return the job of the same request that came before under its key, whatever has become of what it names.

        Raises:
            RequestError: another request had the key.
        """
        return None if key is None else self.store.sent_before(key.text, key.digest)

    def accept_images(self, requests: Sequence[JobRequest], *, key: SentKey | None = None) -> list[Job]:
        """Return a new job for each request, all of them or none; or those that came under the same key before.

        Raises:
            RequestError: the queue is full, the server ends.
            sqlite3.Error: as for `accept`.
        """
        self._require_open()
        if key is not None:
            requests = [replace(request, sent=key.digest) for request in requests]
        most, text = self.limits.most_queued, key.text if key is not None else None
        try:
            jobs, _ = self.store.add_images(requests, most_queued=most, key=text)
        except QueueFullError:
            raise self._queue_is_full() from None
        self.worker.wake()
        return jobs

    def delete(self, job: Job) -> None:
        """Forget a job, whatever its state; one that is in work ends, and its files go with it."""
        try:
            status = self.store.delete(job.id)  # it may be another one than when the job was looked for
        except sqlite3.Error as error:
            if not (job.is_finished and is_full(error)):
                raise
            self.files.remove(job.id)  # so that a full disk has room for its being forgotten
            status = self.store.delete(job.id)
        if status is None:
            return
        self.worker.cancel(job.id)
        if status != "in_progress":
            self.files.remove(job.id)
        if status in UNFINISHED:
            self.metrics.ended(job, "deleted")
        self.feeds.end(job.id)

    def shown(self, job: Job) -> dict[str, Any]:
        """Return a job as OpenAI's video object, and what else is known of it."""
        request, feed = job.request, self.feeds.find(job.id) if job.status == "in_progress" else None
        progress = {"queued": 0, "completed": 100}.get(job.status, min(99, int(100 * feed.progress)) if feed else 0)
        return {
            "id": job.id,
            "object": "video",
            "status": job.status,
            "progress": progress,
            "created_at": int(job.created_at),
            "completed_at": _whole(job.completed_at),
            "expires_at": _whole(job.expires_at),
            "model": request.model,
            "prompt": request.prompt,
            "then": request.then,
            "seconds": request.seconds,
            "size": f"{request.width}x{request.height}",
            "remixed_from_video_id": request.remixed_from,
            "error": job.error,
            "seed": request.seed,
            "fps": request.fps,
            "num_frames": request.num_frames,
            "frames_done": request.num_frames if job.status == "completed" else feed.num_frames if feed else 0,
            "queue_position": self.store.position(job.id) if job.status == "queued" else None,
            "inference_time_s": job.outcome.get("inference_time_s"),
            "url": f"/v1/videos/{job.id}/content" if job.status == "completed" else None,
        }

    def _require_open(self) -> None:
        if self.draining.is_set():
            raise RequestError(503, "the server is ending; send the request again", retry_after_s=10)

    def _queue_is_full(self) -> RequestError:
        wait_s = round(self.metrics.mean_job_s / self.limits.at_once)  # until one of those in work ends
        wait_s = max(1, min(_LONGEST_WAIT_S, wait_s))
        fault = f"{self.limits.most_queued} jobs wait already, and no more may; try again in {wait_s} s"
        return RequestError(429, fault, code="queue_full", retry_after_s=wait_s)

    def close(self) -> None:
        """End the worker, the streams and the store."""
        self.draining.set()
        self.worker.stop(within_s=30.0)
        self.feeds.end_all()
        self.store.close()


def put_together(models: Mapping[str, ServedModel], engine: Engine, *, data: Path, limits: Limits) -> Serving:
    """Return a server's parts on a folder of data; nothing is begun yet.

    Raises:
        ValueError: the folder holds the jobs of another version.
    """
    kept = JobFiles(data)
    store, feeds, metrics = JobStore(kept.database), Feeds(), Metrics()
    keep_s = limits.keep_hours * 3600
    worker = Worker(engine, store, kept, feeds=feeds, metrics=metrics, keep_s=keep_s)
    metrics.watch_queue(lambda: store.count("queued"), lambda: store.count("in_progress"))
    return Serving(
        models=models,
        limits=limits,
        store=store,
        files=kept,
        worker=worker,
        asker=Asker(models, limits),
        feeds=feeds,
        metrics=metrics,
    )


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)
