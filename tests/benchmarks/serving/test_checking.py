"""The checker of the server's bench finds what it is there to find."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.book import Accepted, Book
from benchmarks.serving.checking import damaged, growth, left_over, stored_jobs, unlike_alone, wrong_jobs
from benchmarks.serving.process import Sample
from benchmarks.serving.requests import GIVEN_UP, REFUSED, asks_of
from lumos.media.writing import video_writer
from lumos.serve.generation.engine import Work
from lumos.serve.storage import files
from lumos.serve.storage.files import JobFiles
from lumos.serve.storage.jobs import Job
from lumos.serve.storage.store import JobStore
from tests.lumos.serve.standin import REQUEST, StandIn, served


def accepted(name: str, **changes: str) -> Accepted:
    return Accepted(**{"id": name, "kind": "video", "expected": "completed", **changes})  # type: ignore[arg-type]


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Job]:
    """A folder of data with one finished job of the stand-in."""
    kept = JobFiles(tmp_path / "data")
    store = JobStore(kept.database)
    job, _ = store.add("video", REQUEST, most_queued=1)
    store.take()
    folder = kept.make(job.id)
    with video_writer(folder / files.VIDEO, fps=REQUEST.fps) as add:
        clip = StandIn().begin(work(job))
        while not clip.is_done:
            for images in clip.advance():
                for image in images:
                    add(np.asarray(image))
    for name in (files.THUMBNAIL, files.SPRITESHEET):
        (folder / name).write_bytes(b"x")
    store.complete(job.id, {}, keep_s=60.0)
    store.close()
    return kept.root, stored_jobs(kept.root)[0]


def work(job: Job) -> Work:
    asked = job.request
    about = {"negative_prompt": None, "picture": None, "seed": asked.seed, "given": asked.given}
    return Work(id=job.id, model=asked.model, prompt=asked.prompt, **about)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({"a": "completed"}, []),
        ({}, ["a was accepted (video) and is lost"]),
        ({"a": "completed", "a2": "completed"}, ["a2 is there, and no client asked for it"]),
        ({"a": "queued"}, ["a (video) is queued"]),
        ({"a": "failed"}, ["a (video) is failed"]),
        ({"a": "completed", "gone": "completed"}, ["gone was deleted and is completed"]),
    ],
)
def test_a_lost_doubled_or_unfinished_job_is_found(there: dict[str, str], said: list[str]) -> None:
    assert wrong_jobs([accepted("a"), accepted("gone", expected="deleted")], there) == said


def test_a_job_that_is_given_to_two_requests_is_found() -> None:
    book = Book()
    for _ in range(2):
        book.accept("a", kind="video")
    assert book.wrong == ["a was given to two requests"]


def test_what_is_left_over_or_misses_is_found(data: tuple[Path, Job]) -> None:
    root, job = data
    assert left_over(root, [job]) == []
    (root / "making-x").mkdir()
    (root / job.id / ".video.mp4.tmp").write_bytes(b"half")
    (root / job.id / files.THUMBNAIL).unlink()
    assert left_over(root, [job]) == [
        "making-x is left over", f"{job.id} has no {files.THUMBNAIL}", f"{job.id} has .video.mp4.tmp",
    ]  # fmt: skip


def test_another_video_than_that_of_its_request_is_found(data: tuple[Path, Job], tmp_path: Path) -> None:
    root, job = data
    model = served("red", StandIn())
    assert unlike_alone(model, root, [job], scratch=tmp_path / "alone.mp4") == ([], 1)
    video = root / job.id / files.VIDEO
    video.write_bytes(video.read_bytes()[:-1])
    assert len(unlike_alone(model, root, [job], scratch=tmp_path / "alone.mp4")[0]) == 1


def test_a_damaged_database_is_found(data: tuple[Path, Job]) -> None:
    database = data[0] / "jobs.sqlite3"
    assert damaged(database) == []
    content = bytearray(database.read_bytes())
    content[-3000:-2500] = b"\xff" * 500
    content[4096 + 3 : 4096 + 8] = b"\xff" * 5
    database.write_bytes(content)
    assert damaged(database) != []


def test_growth_is_that_of_the_last_life_after_its_first_requests() -> None:
    about = {"files": 9, "threads": 5}
    first = [Sample(life=0, jobs=jobs, rss_mib=900, **about) for jobs in (20, 40, 60)]
    last = [Sample(life=1, jobs=jobs, rss_mib=500 + jobs, **about) for jobs in (0, 20, 40, 60)]
    found = growth([*first, *last])
    assert found is not None
    assert (found["early MiB"], found["end MiB"], found["KiB a request"]) == (520, 560, 1024)
    assert growth(last[:2]) is None


def test_what_the_allocator_takes_once_is_told_from_what_each_request_keeps() -> None:
    held = {20: 500.0, 40: 540.0, 60: 560.0, 80: 560.0, 100: 560.0}
    found = growth([Sample(life=0, jobs=jobs, rss_mib=rss, files=9, threads=5) for jobs, rss in held.items()])
    assert found is not None
    assert found["KiB a request"] > 500
    assert found["KiB a request, second half"] == pytest.approx(0, abs=0.1)


def test_a_third_of_the_requests_is_bad_and_a_seed_makes_them() -> None:
    asks = asks_of(48, seed=1)
    assert sum(ask.is_good for ask in asks) == 32
    assert {ask.kind for ask in asks if not ask.is_good} == {*REFUSED, *GIVEN_UP}
    assert len({ask.key for ask in asks}) == 48
    assert asks == asks_of(48, seed=1) != asks_of(48, seed=2)
