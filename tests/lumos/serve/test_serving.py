"""Jobs that are accepted and deleted while others do the same."""

from pathlib import Path

import pytest

from lumos.serve.faults import RequestError
from lumos.serve.storage import files
from tests.lumos.serve.standin import REQUEST, StandIn, parts


def test_a_job_that_was_finished_in_the_moment_of_its_deletion_leaves_no_file(tmp_path: Path, model: StandIn) -> None:
    serving = parts(tmp_path, model)
    serving.accept("video", REQUEST)
    seen = serving.store.take()
    assert seen is not None
    (serving.files.make(seen.id) / files.VIDEO).write_bytes(b"made")
    assert serving.store.complete(seen.id, {}, keep_s=60.0)
    serving.delete(seen)  # as it was seen before: in work
    assert not serving.files.folder(seen.id).exists()
    serving.store.close()


def test_a_clip_that_goes_while_it_is_copied_is_not_found_and_nothing_is_kept(tmp_path: Path, model: StandIn) -> None:
    serving = parts(tmp_path, model)
    with pytest.raises(RequestError) as refused:
        serving.accept("video", REQUEST, copies={files.BEFORE: tmp_path / "gone.mp4"})
    assert (refused.value.status, refused.value.code) == (404, "video_not_found")
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
    serving.store.close()


def test_who_finds_the_queue_full_is_told_when_one_of_those_in_work_ends(tmp_path: Path, model: StandIn) -> None:
    serving = parts(tmp_path, model, most_queued=1, at_once=4)
    serving.metrics.mean_job_s = 100.0
    serving.accept("video", REQUEST)
    with pytest.raises(RequestError) as refused:
        serving.accept("video", REQUEST)
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "25")
    serving.store.close()
