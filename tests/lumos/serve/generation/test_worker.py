"""The queue: in order, through kills, full disks and mistakes of a model."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lumos.media.media_error import MediaError
from lumos.serve.generation import worker
from lumos.serve.generation.worker import said_of
from lumos.serve.serving import Serving
from lumos.serve.storage import files
from lumos.serve.storage.jobs import Job, JobRequest, new_id
from lumos.serve.storage.store import MOST_ATTEMPTS
from tests.lumos.serve.standin import REQUEST, StandIn, parts
from xllmx.disk.files import WriteError
from xllmx.disk.temporary import temporary_beside


@contextmanager
def living(serving: Serving) -> Iterator[Serving]:
    """A server whose worker works."""
    serving.worker.start()
    try:
        yield serving
    finally:
        serving.close()


def ended(serving: Serving, job_id: str) -> Job:
    """The job once it is finished; a feed that closes tells so."""
    feed = serving.feeds.of(job_id)
    serving.worker.wake()
    for _ in range(3000):
        job = serving.store.get(job_id)
        assert job is not None
        if job.is_finished:
            return job
        serving.worker._stopping.wait(0.01)
    raise AssertionError(f"{job} does not end ({feed.num_frames} frames)")


def await_frame(serving: Serving, job_id: str) -> None:
    feed = serving.feeds.of(job_id)
    for _ in range(3000):
        if feed.num_frames:
            return
        serving.worker._stopping.wait(0.01)
    raise AssertionError(f"{job_id} has no frame")


def add(serving: Serving, **changes: Any) -> Job:
    request = JobRequest(**{**vars(REQUEST), **changes})
    return serving.store.add("video", request, most_queued=100)[0]


def test_after_a_kill_jobs_go_on_and_what_was_half_written_is_gone(tmp_path: Path, model: StandIn) -> None:
    killed = parts(tmp_path, model)
    begun, waiting = add(killed), add(killed, seed=6)
    assert killed.store.take() is not None
    place = killed.files.make(begun.id) / files.VIDEO
    half = temporary_beside(place)
    half.with_name(half.name.replace(f"-{os.getpid()}-", "-999999999-")).write_bytes(b"half")  # of a dead process
    image = killed.store.add("image", REQUEST, most_queued=100)[0]
    orphan = killed.files.make(new_id("video"))
    receiving = tmp_path / f"{files.MAKING}x"
    receiving.mkdir()
    killed.store.close()

    with living(parts(tmp_path, model)) as serving:
        assert {ended(serving, one.id).status for one in (begun, waiting)} == {"completed"}
        assert serving.store.get(image.id) is None
    assert [made.seed for made in model.made] == [5, 6]
    assert {path.name for path in place.parent.iterdir()} == {files.VIDEO, files.THUMBNAIL, files.SPRITESHEET}
    assert not orphan.exists()
    assert not receiving.exists()


def test_a_job_that_takes_the_server_with_it_again_and_again_is_given_up(tmp_path: Path, model: StandIn) -> None:
    killed = parts(tmp_path, model)
    job = add(killed)
    for _ in range(MOST_ATTEMPTS):
        assert killed.store.take() is not None
        killed.store._db.execute("UPDATE jobs SET status = 'queued'")
    killed.store._db.execute("UPDATE jobs SET status = 'in_progress'")
    killed.store.close()
    with living(parts(tmp_path, model)) as serving:
        found = serving.store.get(job.id)
    assert found is not None
    assert (found.status, (found.error or {})["code"]) == ("failed", "interrupted")
    assert model.made == []


def test_what_was_in_work_when_a_server_was_killed_is_made_alone(tmp_path: Path, model: StandIn) -> None:
    killed = parts(tmp_path, model)
    ids = [add(killed).id for _ in range(3)]
    assert [killed.store.take() is not None for _ in range(2)] == [True, True]
    killed.store.close()
    model.gate.clear()
    with living(parts(tmp_path, model, at_once=3)) as serving:
        await_frame(serving, ids[0])
        assert len(model.made) == 1
        model.gate.set()
        assert {ended(serving, job_id).status for job_id in ids} == {"completed"}


def test_several_jobs_are_in_work_and_one_that_goes_makes_room(tmp_path: Path, model: StandIn) -> None:
    model.gate.clear()
    serving = parts(tmp_path, model, at_once=2)
    stays, goes, bad, last = (add(serving, prompt=prompt) for prompt in ("a", "b", "break", "d"))
    with living(serving):
        for job in (stays, goes):
            await_frame(serving, job.id)
        assert (serving.store.count("in_progress"), len(model.made)) == (2, 2)
        found = serving.store.get(goes.id)
        assert found is not None
        serving.delete(found)
        await_frame(serving, bad.id)
        assert not serving.files.folder(goes.id).exists()
        model.gate.set()
        assert [ended(serving, job.id).status for job in (stays, bad, last)] == ["completed", "failed", "completed"]
        value_of, red = serving.metrics.registry.get_sample_value, {"model": "red"}
        steps, clips = (value_of(f"lumos_clips_per_step_{of}", red) for of in ("count", "sum"))
    assert steps is not None
    assert clips is not None
    assert steps < clips <= 2 * steps


def test_a_job_whose_model_is_served_no_more_says_so_and_the_others_go_on(tmp_path: Path, model: StandIn) -> None:
    with living(parts(tmp_path, model, at_once=2)) as serving:
        gone, good = add(serving, model="blue"), add(serving)
        error = ended(serving, gone.id).error or {}
        assert error["code"] == "model_not_found"
        for part in ("the model blue is served no more", "ask for the video again of red, flow", "--model blue"):
            assert part in error["message"]
        assert ended(serving, good.id).status == "completed"


def test_a_server_that_is_stopped_leaves_its_job_for_the_next_start(tmp_path: Path, model: StandIn) -> None:
    model.gate.clear()
    serving = parts(tmp_path, model)
    job = add(serving)
    with living(serving):
        serving.worker.wake()
        await_frame(serving, job.id)
        assert not serving.worker.is_idle
    again = parts(tmp_path, model)
    left = again.store.get(job.id)
    assert left is not None
    assert (left.status, left.attempts) == ("queued", 0)
    assert not (again.files.of(job.id, files.VIDEO)).exists()
    model.gate.set()
    with living(again):
        assert ended(again, job.id).status == "completed"


def test_finished_jobs_expire_with_their_files(tmp_path: Path, model: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_LOOK_S", 0.01)
    with living(parts(tmp_path, model, keep_hours=1e-5)) as serving:
        job = add(serving)
        serving.worker.wake()
        for _ in range(3000):
            if serving.store.get(job.id) is None:
                break
            serving.worker._stopping.wait(0.01)
        assert serving.store.ids() == set()
    assert not serving.files.folder(job.id).exists()


def test_a_full_disk_under_the_store_is_waited_for(
    tmp_path: Path, model: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_AGAIN_S", 0.01)
    serving = parts(tmp_path, model)
    faults = [sqlite3.OperationalError("database or disk is full")] * 2
    complete = serving.store.complete

    def full(*args: Any, **words: Any) -> bool:
        if faults:
            raise faults.pop()
        return complete(*args, **words)

    monkeypatch.setattr(serving.store, "complete", full)
    job = add(serving)
    with living(serving):
        assert ended(serving, job.id).status == "completed"
    assert faults == []


def counted(serving: Serving, name: str, **labels: str) -> float:
    """A number of /metrics; 0 where nothing was counted."""
    return serving.metrics.registry.get_sample_value(name, {"model": "red", **labels}) or 0.0


def ends(serving: Serving) -> list[float]:
    """How many jobs were counted as completed, failed and deleted."""
    kinds = ("completed", "failed", "deleted")
    return [counted(serving, "lumos_jobs_total", kind="video", status=status) for status in kinds]


@pytest.mark.parametrize("prompt", ["a", "break"])
def test_a_job_that_is_deleted_in_the_last_moment_is_counted_once(
    tmp_path: Path, model: StandIn, monkeypatch: pytest.MonkeyPatch, prompt: str
) -> None:
    serving = parts(tmp_path, model)
    end = serving.store._end

    def late(job_id: str, *args: Any, **words: Any) -> bool:
        job = serving.store.get(job_id)
        if job is not None and job.id == goes.id:
            serving.delete(job)
        return end(job_id, *args, **words)

    monkeypatch.setattr(serving.store, "_end", late)
    goes, stays = add(serving, prompt=prompt), add(serving)
    with living(serving):
        ended(serving, stays.id)
        assert ends(serving) == [1.0, 0.0, 1.0]


def test_what_the_next_start_makes_again_is_counted_there_and_its_waiting_once(
    tmp_path: Path, model: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving, tried = parts(tmp_path, model), threading.Event()

    def full(*args: Any, **words: Any) -> bool:
        tried.set()
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(serving.store, "complete", full)
    job = add(serving)
    with living(serving):
        serving.worker.wake()
        assert tried.wait(20)
    serving.metrics.watch_queue(lambda: 0.0, lambda: 0.0)  # its store is closed
    again = parts(tmp_path, model)
    with living(again):
        ended(again, job.id)
        assert (ends(serving), ends(again)) == ([0.0] * 3, [1.0, 0.0, 0.0])
        for name in ("lumos_queue_seconds_count", "lumos_first_frame_seconds_count"):
            assert (counted(serving, name), counted(again, name)) == (1.0, 0.0)


def test_what_has_expired_makes_the_room_that_its_being_forgotten_takes(
    tmp_path: Path, model: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = parts(tmp_path, model)
    job = add(serving)
    assert serving.store.take() is not None
    serving.store.complete(job.id, {}, keep_s=0.0)
    writing, folder = serving.store._writing, serving.files.make(job.id)

    @contextmanager
    def needs_room() -> Iterator[None]:
        if folder.exists():
            raise sqlite3.OperationalError("database or disk is full")
        with writing():
            yield

    monkeypatch.setattr(serving.store, "_writing", needs_room)
    serving.worker._look_for_expired()
    assert (serving.store.get(job.id), folder.exists()) == (None, False)
    serving.store.close()


def test_a_mistake_of_an_engine_does_not_end_the_worker(
    tmp_path: Path, model: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_AGAIN_S", 0.01)
    serving = parts(tmp_path, model)
    step, faults = serving.worker._engine.step, [RuntimeError("a slip")]

    def slips(tell: Any) -> None:
        if faults:
            raise faults.pop()
        step(tell)

    monkeypatch.setattr(serving.worker._engine, "step", slips)
    job = add(serving)
    with living(serving):
        assert ended(serving, job.id).status == "completed"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ValueError("size is 3;\nit must be 4"), "invalid_request", "size is 3; it must be 4"),
        (OSError(28, "No space left on device", "/secret/x"), "storage_error", "No space left on device"),
        (MediaError("/secret/x", "no such file"), "invalid_request", "no such file"),
        (KeyError("/secret/x"), "server_error", "KeyError"),
    ],
)
def test_a_client_is_told_what_is_wrong_and_not_where(error: Exception, code: str, said: str) -> None:
    assert said_of(error)[0] == code
    assert said in said_of(error)[1]
    assert "secret" not in said_of(error)[1]


def test_a_file_that_could_not_be_written_is_not_named() -> None:
    error = WriteError("cannot write /secret/x: No space")
    error.__cause__ = OSError(28, "No space left on device", "/secret/x")
    assert said_of(error) == ("storage_error", "the server could not write the video: No space left on device")
