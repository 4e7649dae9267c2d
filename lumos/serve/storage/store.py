"""Jobs in SQLite: what was accepted is there after a kill, and each job is given out once.

queued -> in_progress -> completed | failed;  in_progress -> queued when the server that had it has ended

Images that are asked for together under an `Idempotency-Key` stand under that key, and the further ones under it with a
line's end and a number behind it, as no client's key is.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lumos.serve.faults import RequestError
from lumos.serve.storage.jobs import Job, JobRequest, Kind, Status, new_id

MOST_ATTEMPTS = 5
"""Times that a job may take the whole server with it (memory, a driver) before it is given up."""

_PATIENCE_S = 5.0
"""For which a lock that another program has on the file is waited for."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    request TEXT NOT NULL,
    created_at REAL NOT NULL,
    started_at REAL,
    completed_at REAL,
    expires_at REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    outcome TEXT,
    idempotency TEXT UNIQUE
);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status, number);
"""
_VERSION = 1
_COLUMNS = "id, kind, status, request, created_at, started_at, completed_at, expires_at, attempts, error, outcome"
_INTERRUPTED = {"code": "interrupted", "message": f"the server ended {MOST_ATTEMPTS} times while this was being made"}


class QueueFullError(Exception):
    """As many jobs wait as may."""


class JobStore:
    """The table of jobs; every method may be called from any thread. Raises `sqlite3.Error` where the disk is full."""

    def __init__(self, path: Path) -> None:
        """Open the file, which is made if needed; ValueError for one of another kind or version, or a damaged one."""
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=_PATIENCE_S)
        except sqlite3.Error as error:
            raise ValueError(f"{path} cannot be used ({error}); give another --data") from error
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise ValueError(f"{path} is of version {version}, and this reads {_VERSION}; give another --data")
            self._db.executescript(_SCHEMA)
            self._db.execute(f"PRAGMA user_version = {_VERSION}")
            self._check_all(path)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise ValueError(f"{path} cannot be used ({error}); give another --data, or delete it") from error
        except ValueError:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def add(
        self, kind: Kind, request: JobRequest, *, most_queued: int, job_id: str | None = None, key: str | None = None
    ) -> tuple[Job, bool]:
        """Return a new job at the end of the queue and True; or the job of the same key, and False.

        Args:
            kind: what it makes.
            request: what is asked for.
            most_queued: jobs that may wait.
            job_id: its id, where files lie under it already.
            key: what a client names a request by that it may send twice (`Idempotency-Key`).

        Raises:
            QueueFullError: as many wait already.
            RequestError: another request (`JobRequest.sent`) had the same key.
        """
        job = Job(id=job_id or new_id(kind), kind=kind, status="queued", request=request, created_at=time.time())
        jobs, is_new = self._add_all([job], most_queued=most_queued, key=key)
        return jobs[0], is_new

    def add_images(
        self, requests: Sequence[JobRequest], *, most_queued: int, key: str | None = None
    ) -> tuple[list[Job], bool]:
        """Return a new job for each request, all of them or none, and True; or those of the same key, and False.

        Raises:
            QueueFullError: with them more would wait than may.
            RequestError: another request had the same key, or some of its images have expired.
        """
        now = time.time()
        jobs = [Job(id=new_id("image"), kind="image", status="queued", request=one, created_at=now) for one in requests]
        return self._add_all(jobs, most_queued=most_queued, key=key)

    def get(self, job_id: str) -> Job | None:
        """Return a job, or None."""
        with self._lock:
            return self._one("WHERE id = ?", (job_id,))

    def sent_before(self, key: str, sent: str) -> Job | None:
        """Return the first job under a key; None where there is none.

        Raises:
            RequestError: it is one of another request (`JobRequest.sent`).
        """
        with self._lock:
            first = self._one("WHERE idempotency = ?", (key,))
        if first is not None and first.request.sent != sent:
            fault = "this Idempotency-Key was used for another request; choose another one"
            raise RequestError(422, fault, code="idempotency_key_reused")
        return first

    def page(
        self, kind: Kind, *, after: str | None, limit: int, order: Literal["asc", "desc"]
    ) -> tuple[list[Job], bool]:
        """Return jobs in the order in which they came, after one of them, and whether there are more.

        Raises:
            RequestError: there is no job `after`.
        """
        condition, values = "kind = ?", [kind]
        with self._lock:
            if after is not None:
                row = self._db.execute("SELECT number FROM jobs WHERE id = ? AND kind = ?", (after, kind)).fetchone()
                if row is None:
                    raise RequestError(400, "there is no video that after names", param="after")
                condition += f" AND number {'>' if order == 'asc' else '<'} ?"
                values.append(row[0])
            end = f"WHERE {condition} ORDER BY number {'ASC' if order == 'asc' else 'DESC'} LIMIT ?"
            found = list(self._select(end, (*values, limit + 1)))
        return found[:limit], len(found) > limit

    def take(self, *, beside_others: bool = False) -> Job | None:
        """Return the job that has waited longest, which is in work from now on; None where none waits.

        Beside others none is given that was in work when a server was killed: it may be what killed it.
        """
        with self._writing():
            job = self._one("WHERE status = 'queued' ORDER BY number LIMIT 1", ())
            if job is None or (beside_others and job.attempts > 0):
                return None
            self._db.execute(
                "UPDATE jobs SET status = 'in_progress', attempts = attempts + 1, started_at = COALESCE(started_at, ?) "
                "WHERE id = ?",
                (time.time(), job.id),
            )
            return self._one("WHERE id = ?", (job.id,))

    def complete(self, job_id: str, outcome: Mapping[str, Any], *, keep_s: float) -> bool:
        """Set a job in work down as finished; False where it was deleted meanwhile."""
        return self._end(job_id, "completed", "outcome", json.dumps(outcome), keep_s=keep_s)

    def fail(self, job_id: str, *, code: str, message: str, keep_s: float) -> bool:
        """Set a job in work down as failed; False where it was deleted meanwhile."""
        error = json.dumps({"code": code, "message": message})
        return self._end(job_id, "failed", "error", error, keep_s=keep_s)

    def put_back(self, job_id: str) -> bool:
        """Have a job that is in work wait again, in its old place, not counted as begun; False where it was deleted."""
        with self._writing():
            changed = self._db.execute(
                "UPDATE jobs SET status = 'queued', attempts = attempts - 1 WHERE id = ? AND status = 'in_progress'",
                (job_id,),
            )
        return changed.rowcount > 0

    def delete(self, job_id: str) -> Status | None:
        """Forget a job; return its state at that moment, None where it was not there."""
        with self._writing():
            row = self._db.execute("SELECT status FROM jobs WHERE id = ?", (job_id,)).fetchone()
            self._db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
        return None if row is None else row[0]

    def expired(self, *, now: float) -> list[str]:
        """Return the ids of the finished jobs whose time is over."""
        with self._lock:
            found = self._db.execute("SELECT id FROM jobs WHERE expires_at <= ?", (now,)).fetchall()
        return [job_id for (job_id,) in found]

    def recover(self, *, keep_s: float) -> None:
        """Have what an earlier server had in work wait again.

        Images, whose client is gone, are forgotten, but for those that it can ask for again, under their key.
        """
        unfinished = "status IN ('queued', 'in_progress')"
        with self._writing():
            self._db.execute(f"DELETE FROM jobs WHERE kind = 'image' AND idempotency IS NULL AND {unfinished}")
            self._db.execute(
                "UPDATE jobs SET status = 'failed', error = ?, completed_at = ?, expires_at = ? "
                "WHERE status = 'in_progress' AND attempts >= ?",
                (json.dumps(_INTERRUPTED), time.time(), time.time() + keep_s, MOST_ATTEMPTS),
            )
            self._db.execute("UPDATE jobs SET status = 'queued' WHERE status = 'in_progress'")

    def position(self, job_id: str) -> int | None:
        """Return how many jobs wait before this one, or None where it does not wait."""
        before = (
            "SELECT (SELECT COUNT(*) FROM jobs WHERE status = 'queued' AND number < waiting.number) "
            "FROM jobs AS waiting WHERE id = ? AND status = 'queued'"
        )
        with self._lock:
            row = self._db.execute(before, (job_id,)).fetchone()
        return None if row is None else int(row[0])

    def count(self, status: Status) -> int:
        """Return how many jobs are in a state."""
        with self._lock:
            return int(self._db.execute("SELECT COUNT(*) FROM jobs WHERE status = ?", (status,)).fetchone()[0])

    def ids(self) -> set[str]:
        """Return the ids of all jobs."""
        with self._lock:
            return {job_id for (job_id,) in self._db.execute("SELECT id FROM jobs")}

    def _check_all(self, path: Path) -> None:
        """Check that every job can be read: one that cannot would stand in the way of the whole queue, for ever."""
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        number = self._db.execute("SELECT MIN(number) FROM jobs").fetchone()[0]
        while number is not None and found == "ok":
            try:
                self._one("WHERE number = ?", (number,))
            except (ValueError, TypeError, AttributeError, RecursionError) as error:
                found = f"its job {number} cannot be read: {str(error)[:100]}"
            number = self._db.execute("SELECT MIN(number) FROM jobs WHERE number > ?", (number,)).fetchone()[0]
        if found != "ok":
            line = " ".join(str(found).split())
            raise ValueError(f"{path} is damaged ({line}); give another --data, or delete it")

    def _add_all(self, jobs: list[Job], *, most_queued: int, key: str | None) -> tuple[list[Job], bool]:
        keys = [None if key is None else f"{key}\n{index}" if index else key for index in range(len(jobs))]
        with self._writing():
            if key is not None and (found := self._sent_before(jobs[0].request, key, keys)):
                return found, False
            if self.count("queued") + len(jobs) > most_queued:
                raise QueueFullError
            self._db.executemany(
                "INSERT INTO jobs (id, kind, status, request, created_at, idempotency) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (job.id, job.kind, job.status, job.request.as_json(), job.created_at, own)
                    for job, own in zip(jobs, keys, strict=True)
                ],
            )
        return jobs, True

    def _sent_before(self, request: JobRequest, key: str, keys: Sequence[str | None]) -> list[Job]:
        """Return the jobs of a request that came before under the key; none where it did not, or has expired."""
        if self.sent_before(key, request.sent or "") is None:  # others of its images may be there for a moment still
            others = "idempotency > ? AND idempotency < ?"
            self._db.execute(f"UPDATE jobs SET idempotency = NULL WHERE {others}", (f"{key}\n", f"{key}\n:"))
            return []
        found = [job for own in keys if (job := self._one("WHERE idempotency = ?", (own,))) is not None]
        if len(found) < len(keys):
            fault = "some images of this Idempotency-Key have expired; choose another one"
            raise RequestError(404, fault, code="image_not_found")
        return found

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Within it nobody else writes; all of it is kept, or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _end(self, job_id: str, status: Status, column: str, value: str, *, keep_s: float) -> bool:
        now = time.time()
        with self._writing():
            changed = self._db.execute(
                f"UPDATE jobs SET status = ?, {column} = ?, completed_at = ?, expires_at = ? "
                "WHERE id = ? AND status = 'in_progress'",
                (status, value, now, now + keep_s, job_id),
            )
        return changed.rowcount > 0

    def _one(self, end: str, values: Sequence[Any]) -> Job | None:
        return next(self._select(end, values), None)

    def _select(self, end: str, values: Sequence[Any]) -> Iterator[Job]:
        for row in self._db.execute(f"SELECT {_COLUMNS} FROM jobs {end}", values).fetchall():
            named = dict(zip(_COLUMNS.split(", "), row, strict=True))
            error, outcome = named.pop("error"), named.pop("outcome")
            yield Job(
                **{**named, "request": JobRequest.from_json(named["request"])},
                error=json.loads(error) if error else None,
                outcome=json.loads(outcome) if outcome else {},
            )
