"""After it all: is every accepted job there once, are its frames those that it has alone, and is nothing else left."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.serving.book import Accepted
from benchmarks.serving.process import Sample
from lumos.media.writing import video_writer
from lumos.serve.generation.engine import Work
from lumos.serve.generation.models import ServedModel
from lumos.serve.storage import files
from lumos.serve.storage.files import JobFiles
from lumos.serve.storage.jobs import Job, is_id
from lumos.serve.storage.store import JobStore

_EARLY = 20
"""Requests after which a server has everything it keeps."""
_OF_THE_SERVER = ("jobs.sqlite3", "jobs.sqlite3-wal", "jobs.sqlite3-shm", ".server.xllmx-lock")


def wrong_jobs(accepted: Iterable[Accepted], there: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the jobs that are there (id -> status), given those that were accepted."""
    told = {job.id: job for job in accepted}
    wrong = [f"{job_id} is there, and no client asked for it" for job_id in there if job_id not in told]
    for job in told.values():
        status = there.get(job.id)
        if job.expected == "deleted":
            wrong += [f"{job.id} was deleted and is {status}"] if status is not None else []
        elif status is None:
            wrong.append(f"{job.id} was accepted ({job.kind}) and is lost")
        elif status != "completed":
            wrong.append(f"{job.id} ({job.kind}) is {status}")
    return wrong


def left_over(root: Path, jobs: Iterable[Job]) -> list[str]:
    """Return what lies in the folder of data and is no whole file of one of its jobs, or misses from it."""
    wrong, known = [], {job.id: job for job in jobs}
    for path in sorted(root.iterdir()):
        if path.name not in known and path.name not in _OF_THE_SERVER:
            wrong.append(f"{path.name} is left over")
    for job in known.values():
        wanted = set(files.MADE[job.kind]) if job.status == "completed" else set()
        wanted |= {files.BEFORE} if job.request.num_before else set()
        folder = root / job.id
        held = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        wrong += [f"{job.id} has no {name}" for name in sorted(wanted - held)]
        wrong += [f"{job.id} has {name}" for name in sorted(held - wanted)]
    return wrong


def damaged(database: Path) -> list[str]:
    """Return what SQLite finds wrong with its file."""
    opened = sqlite3.connect(database)
    try:
        found = [str(row[0]) for row in opened.execute("PRAGMA integrity_check")]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    finally:
        opened.close()
    return [] if found == ["ok"] else found


def stored_jobs(root: Path) -> list[Job]:
    """Return all jobs of a folder of data whose server has ended."""
    store = JobStore(JobFiles(root).database)
    try:
        found = [store.get(job_id) for job_id in sorted(store.ids())]
    finally:
        store.close()
    return [job for job in found if job is not None]


def unlike_alone(model: ServedModel, root: Path, jobs: Iterable[Job], *, scratch: Path) -> tuple[list[str], int]:
    """Return which videos are not, byte for byte, what their request makes alone, and how many were made for that."""
    alone: dict[str, bytes] = {}
    wrong = []
    for job in jobs:
        if job.kind != "video" or job.status != "completed":
            continue
        before = root / job.id / files.BEFORE if job.request.num_before else None
        asked = {**json.loads(job.request.as_json()), "remixed_from": None, "sent": None}
        key = json.dumps([asked, _digest(before) if before else None])
        if key not in alone:
            alone[key] = _made(model, job, before=before, scratch=scratch / "alone.mp4")
        if (root / job.id / files.VIDEO).read_bytes() != alone[key]:
            wrong.append(f"{job.id} is not the video that its request makes alone")
    return wrong, len(alone)


def growth(samples: Sequence[Sample]) -> dict[str, float] | None:
    """Return what the last life of the server held early and at its end; None where it was too short to say.

    What is kept of each request shows in the second half too; what the allocator takes once does not.
    """
    last = [one for one in samples if one.life == samples[-1].life and one.jobs >= _EARLY] if samples else []
    if len({one.jobs for one in last}) < 3:
        return None
    middle = (last[0].jobs + last[-1].jobs) / 2
    late = [one for one in last if one.jobs >= middle]
    later = {"KiB a request, second half": _kib_a_request(late)} if len({one.jobs for one in late}) > 1 else {}
    return {
        "requests": last[-1].jobs,
        "early MiB": round(last[0].rss_mib, 1),
        "end MiB": round(last[-1].rss_mib, 1),
        "KiB a request": _kib_a_request(last),
        **later,
        "early files": last[0].files,
        "end files": last[-1].files,
        "early threads": last[0].threads,
        "end threads": last[-1].threads,
    }


def _made(model: ServedModel, job: Job, *, before: Path | None, scratch: Path) -> bytes:
    """Return the file of a request that is made by itself."""
    asked = job.request
    assert is_id(job.id)
    assert not asked.has_picture
    work = Work(
        id=job.id,
        model=asked.model,
        prompt=asked.prompt,
        negative_prompt=asked.negative_prompt,
        picture=None,
        before=before,
        then=asked.then,
        seed=asked.seed,
        given=asked.given,
    )
    clip = model.begin(work)
    with video_writer(scratch, fps=asked.fps) as add:
        while not clip.is_done:
            for images in clip.advance():
                for image in images:
                    add(np.asarray(image))
    return scratch.read_bytes()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _kib_a_request(samples: Sequence[Sample]) -> float:
    """Return the slope of the line through the memory of samples of at least two numbers of requests."""
    slope = np.polyfit([one.jobs for one in samples], [one.rss_mib for one in samples], 1)[0]
    return round(float(slope) * 1024, 1)
