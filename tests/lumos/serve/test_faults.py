"""A disk that takes nothing, under every route that writes: one status, one sentence, nothing half written."""

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette import formparsers

from lumos.media.writing import write_video
from lumos.serve.faults import storage_fault
from lumos.serve.generation import recording
from lumos.serve.routes import videos
from tests.lumos.serve.requests.test_idempotency import picture
from tests.lumos.serve.standin import VIDEO, Server

LONG = {"prompt": "a" * 9000, "seed": 1}
IMAGES, VIDEOS, EXTENSIONS = "/v1/images/generations", "/v1/videos", "/v1/videos/extensions"


@contextmanager
def full(server: Server) -> Iterator[None]:
    database = server.serving.store._db
    (most,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {most}")
    yield
    database.execute("PRAGMA max_page_count = 1000000")


@contextmanager
def locked(server: Server) -> Iterator[None]:
    server.serving.store._db.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(server.serving.files.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@contextmanager
def read_only(server: Server) -> Iterator[None]:
    server.serving.store._db.execute("PRAGMA query_only = ON")
    yield
    server.serving.store._db.execute("PRAGMA query_only = OFF")


@pytest.mark.parametrize(
    ("broken", "status", "code"),
    [(full, 507, "storage_error"), (locked, 503, "storage_busy"), (read_only, 507, "storage_error")],
)
def test_a_store_that_takes_nothing_is_said_and_nothing_is_half_written(
    server: Server, tmp_path: Path, broken: Callable[[Server], Any], status: int, code: str
) -> None:
    write_video(tmp_path / "x.mp4", np.zeros((3, 32, 64, 3), np.uint8), fps=4)
    clip = {"video": ("x.mp4", (tmp_path / "x.mp4").read_bytes())}
    with broken(server):
        answers = [
            server.client.post(VIDEOS, data=LONG, files=picture("red")),
            server.client.post(IMAGES, json={**LONG, "n": 2}),
            server.client.post(EXTENSIONS, data=LONG, files=clip),
        ]
        assert server.client.get("/health").json() == {"status": "ok", "queued": 0, "in_progress": 0}
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert ("retry-after" in answer.headers) == (status == 503)
        assert str(tmp_path) not in answer.text
    assert server.serving.store.ids() == set()
    assert [path for path in server.serving.files.root.iterdir() if path.is_dir()] == []
    assert server.finished(server.create()["id"])["status"] == "completed"
    assert server.client.post(IMAGES, json=VIDEO).status_code == 200


def test_a_video_that_the_store_does_not_let_go_is_there_still(server: Server) -> None:
    video_id = server.create()["id"]
    server.finished(video_id)
    with locked(server):
        assert server.client.delete(f"/v1/videos/{video_id}").status_code == 503
        assert server.client.get(f"/v1/videos/{video_id}/content").status_code == 200
    assert server.client.delete(f"/v1/videos/{video_id}").status_code == 200


def test_a_finished_video_is_deleted_from_a_full_disk_whose_room_it_takes(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = server.create()["id"]
    server.finished(video_id)
    delete, folder = server.serving.store.delete, server.serving.files.folder(video_id)

    def needs_room(job_id: str) -> Any:
        if folder.exists():
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return delete(job_id)

    monkeypatch.setattr(server.serving.store, "delete", needs_room)
    assert server.client.delete(f"/v1/videos/{video_id}").status_code == 200
    assert server.serving.store.ids() == set()


@pytest.mark.parametrize(("path", "field"), [(VIDEOS, "input_reference"), (EXTENSIONS, "video")])
def test_an_upload_that_finds_no_room_is_said(
    server: Server, monkeypatch: pytest.MonkeyPatch, path: str, field: str
) -> None:
    def no_room(*args: Any, **words: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device", "/secret/place")

    monkeypatch.setattr(formparsers, "SpooledTemporaryFile", no_room)
    answers = [server.client.post(path, data=VIDEO, files={field: ("x", b"x")})]
    monkeypatch.undo()
    monkeypatch.setattr(videos.tempfile, "TemporaryDirectory", no_room)
    if path == EXTENSIONS:
        answers.append(server.client.post(path, data=VIDEO, files={field: ("x", b"x")}))
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "storage_error")
        assert "secret" not in answer.text


def test_an_image_that_finds_no_room_is_said_and_is_gone(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/secret/place")

    monkeypatch.setattr(recording, "write_image", no_room)
    answer = server.client.post(IMAGES, json={**VIDEO, "n": 2})
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "storage_error")
    assert server.serving.store.ids() == set()


def test_images_that_are_made_are_answered_though_they_cannot_be_deleted(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(job_id: str) -> Any:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(server.serving.store, "delete", busy)
    answer = server.client.post(IMAGES, json={**VIDEO, "n": 2})
    assert (answer.status_code, len(answer.json()["data"])) == (200, 2)
    assert len(server.serving.store.ids()) == 2  # they expire


def test_a_mistake_of_ours_is_no_fault_of_the_disk() -> None:
    assert [storage_fault(one) for one in (KeyError("x"), FileNotFoundError(2, "x"), ConnectionError())] == [None] * 3
    closed = storage_fault(sqlite3.ProgrammingError("Cannot operate on a closed database."))
    assert closed is not None
    assert (closed.status, "ending" in closed.message) == (503, True)
    many = storage_fault(OSError(errno.EMFILE, "Too many open files"))
    assert many is not None
    assert many.status == 503
