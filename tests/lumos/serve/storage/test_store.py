"""Jobs in SQLite."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from lumos.serve.faults import RequestError
from lumos.serve.storage.store import JobStore, QueueFullError
from tests.lumos.serve.standin import REQUEST


def test_jobs_are_given_out_once_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite3")
    ids = [store.add("video", REQUEST, most_queued=3)[0].id for _ in range(3)]
    with pytest.raises(QueueFullError):
        store.add("video", REQUEST, most_queued=3)
    assert [store.position(one) for one in ids] == [0, 1, 2]
    taken = [store.take() for _ in range(4)]
    assert [job.id if job else None for job in taken] == [*ids, None]
    assert taken[0] is not None
    assert (taken[0].request, taken[0].attempts, taken[0].status) == (REQUEST, 1, "in_progress")
    store.close()


def test_what_was_deleted_is_not_finished(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite3")
    job = store.add("video", REQUEST, most_queued=3)[0]
    assert not store.complete(job.id, {}, keep_s=1.0)  # it is not in work
    assert store.take() is not None
    assert store.delete(job.id) == "in_progress"
    assert (store.delete(job.id), store.complete(job.id, {}, keep_s=1.0), store.put_back(job.id)) == (
        None,
        False,
        False,
    )
    assert not store.fail(job.id, code="c", message="m", keep_s=1.0)
    assert store.ids() == set()
    store.close()


def test_a_write_that_fails_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite3")
    store._db.execute("PRAGMA max_page_count = 8")  # a disk that is full soon
    added = 0

    def add_many() -> None:
        nonlocal added
        for _ in range(1000):
            store.add("video", REQUEST, most_queued=1000)
            added += 1

    with pytest.raises(sqlite3.OperationalError, match="full"):
        add_many()
    assert store.count("queued") == added > 0
    store.close()


def test_images_under_a_key_are_found_together_until_the_first_has_expired(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite3")
    asked = [replace(REQUEST, seed=seed, sent="digest") for seed in (1, 2)]
    jobs, is_new = store.add_images(asked, most_queued=5, key="k")
    assert (is_new, [job.request.seed for job in jobs]) == (True, [1, 2])
    again, is_new = store.add_images([replace(one, seed=9) for one in asked], most_queued=5, key="k")
    assert (is_new, [job.id for job in again]) == (False, [job.id for job in jobs])
    with pytest.raises(QueueFullError):  # all of them or none
        store.add_images(asked * 2, most_queued=5)
    assert store.count("queued") == 2
    store.delete(jobs[1].id)
    with pytest.raises(RequestError, match="have expired"):
        store.add_images(asked, most_queued=5, key="k")
    store.delete(jobs[0].id)
    whole, _ = store.add_images(asked, most_queued=5, key="k")
    store.delete(whole[0].id)
    assert store.add_images(asked, most_queued=5, key="k")[1]  # the other one of before is there still
    assert store.count("queued") == 3
    store.close()


def test_images_that_may_be_asked_for_again_outlive_a_kill(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite3")
    kept = store.add_images([replace(REQUEST, sent="digest")] * 2, most_queued=5, key="k")[0]
    store.add_images([REQUEST], most_queued=5)
    began = store.take()
    store.recover(keep_s=1.0)
    assert store.ids() == {job.id for job in kept}
    again = store.take()
    assert began is not None
    assert again is not None
    assert (again.id, again.attempts, again.started_at) == (began.id, 2, began.started_at)  # when it was first begun
    store.close()


def test_another_file_or_version_is_said(tmp_path: Path) -> None:
    other, newer = tmp_path / "other", tmp_path / "newer"
    other.write_text("no database" * 1000)
    with pytest.raises(ValueError, match="cannot be used"):
        JobStore(other)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="cannot be used"):
        JobStore(tmp_path / "folder")
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ValueError, match="version 99"):
        JobStore(newer)


@pytest.mark.parametrize("request_", ["{", "[]", "{}", '{"model": "m", "unknown": 1}'])
def test_a_job_that_cannot_be_read_is_said_at_the_start(tmp_path: Path, request_: str) -> None:
    store = JobStore(tmp_path / "jobs")
    for _ in range(3):
        store.add("video", REQUEST, most_queued=3)
    store._db.execute("UPDATE jobs SET request = ? WHERE number = 2", (request_,))
    store.close()
    with pytest.raises(ValueError, match=r"jobs is damaged .its job 2 cannot be read: .*; give another --data"):
        JobStore(tmp_path / "jobs")


def test_a_page_that_is_damaged_is_said_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "jobs"
    store = JobStore(path)
    for _ in range(200):
        store.add("video", REQUEST, most_queued=200)
    store.close()
    content = bytearray(path.read_bytes())
    content[8 * 4096 : 9 * 4096] = b"x" * 4096
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"(is damaged|cannot be used) .*; give another --data, or delete it"):
        JobStore(path)
