"""A checkpoint is whole or not there, whatever happens while it is written."""

import errno
import json
import logging
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import launched_ranks as ranks
import pytest
import torch

from xllmx.checkpoints.checkpoint import CheckpointError, CheckpointManager
from xllmx.checkpoints.folder import MARKER, remove_old, step_of
from xllmx.checkpoints.hashes import HashingWriter


def state(value: float) -> dict:
    return {"model": {"weight": torch.full((3, 5), value), "bias": torch.full((2,), -value)}, "name": f"at {value}"}


@pytest.fixture
def manager(tmp_path: Path) -> CheckpointManager:
    return CheckpointManager(tmp_path / "checkpoints", keep=2)


def test_what_is_loaded_is_what_was_saved(manager: CheckpointManager) -> None:
    manager.save(4, state(4.5), record={"config": {"lr": 1}})
    target = state(0.0)
    loaded = manager.load(manager.latest(), target)
    assert loaded["name"] == "at 4.5"
    assert torch.equal(target["model"]["weight"], torch.full((3, 5), 4.5))  # in place
    record = json.loads((manager.latest() / "checkpoint.json").read_text())
    assert (record["step"], record["config"]) == (4, {"lr": 1})


def test_the_newest_are_kept_in_order(manager: CheckpointManager) -> None:
    assert manager.latest() is None
    for step in (9, 10, 100):
        manager.save(step, state(step))
    assert [step_of(path) for path in manager.valid()] == [10, 100]
    assert sorted(path.name for path in manager.folder.iterdir()) == ["step-00000010", "step-00000100"]


def test_half_checkpoints_are_passed_over(manager: CheckpointManager) -> None:
    manager.keep = 9
    for step in (1, 2, 3, 4):
        manager.save(step, state(step))
    (manager.folder / "step-00000004" / "checkpoint.json").unlink()
    data = next((manager.folder / "step-00000003").glob("*.distcp"))
    data.write_bytes(data.read_bytes()[:-1])
    (manager.folder / "step-00000002" / "checkpoint.json").write_text("[")
    (manager.folder / "step-00000009").mkdir()
    assert step_of(manager.latest()) == 1


def test_what_a_killed_save_left_is_never_read_and_then_removed(manager: CheckpointManager) -> None:
    manager.save(1, state(1.0))
    (manager.folder / ".step-00000002.tmp").mkdir()
    assert step_of(manager.latest()) == 1
    manager.save(3, state(3.0))
    assert not list(manager.folder.glob(".*"))


def test_an_old_one_that_cannot_be_removed_is_said_and_the_run_goes_on(
    manager: CheckpointManager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (1, 2):
        manager.save(step, state(step))
    remove = shutil.rmtree

    def busy(path: Path, **how: Any) -> None:
        if Path(path).name == "step-00000001":
            raise OSError(errno.EBUSY, "Device or resource busy", str(path))
        remove(path, **how)

    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(shutil, "rmtree", busy)
        manager.save(3, state(3.0))
    assert "step-00000001 cannot be removed ([Errno 16] Device or resource busy" in caplog.text
    assert "the run goes on" in caplog.text
    assert (manager.folder / "step-00000001").is_dir()
    assert [step_of(path) for path in manager.valid()] == [2, 3]  # its marker went first
    manager.save(4, state(4.0))
    assert sorted(path.name for path in manager.folder.iterdir()) == ["step-00000003", "step-00000004"]


def test_only_what_has_no_marker_and_is_older_than_a_complete_one_is_swept(manager: CheckpointManager) -> None:
    for step in (3, 5):
        manager.save(step, state(step))
    for name in ("step-00000001", "step-00000004", "step-00000006", ".step-00000002.tmp", "damaged-step-00000001"):
        (manager.folder / name).mkdir()
        (manager.folder / name / "__0_0.distcp").write_bytes(b"rest")
    (manager.folder / "step-00000002").mkdir()
    (manager.folder / "step-00000002" / MARKER).write_text("[")  # changed, and for its owner to look at
    remove_old(manager.folder, keep=2)
    assert sorted(path.name for path in manager.folder.iterdir()) == [
        ".step-00000002.tmp", "damaged-step-00000001", "step-00000002", "step-00000003", "step-00000005",
        "step-00000006",
    ]  # fmt: skip


def test_of_an_old_one_that_is_a_link_the_link_alone_is_removed(manager: CheckpointManager, tmp_path: Path) -> None:
    other = CheckpointManager(tmp_path / "other")
    other.save(1, state(1.0))
    manager.folder.mkdir()
    (manager.folder / "step-00000001").symlink_to(other.valid()[0])
    for step in (2, 3):
        manager.save(step, state(step))
    assert [step_of(path) for path in manager.valid()] == [2, 3]
    assert [step_of(path) for path in other.valid()] == [1]


def test_the_same_step_can_be_saved_again(manager: CheckpointManager) -> None:
    manager.save(5, state(1.0))
    manager.save(5, state(2.0))
    assert manager.load(manager.latest(), state(0.0))["name"] == "at 2.0"


def test_a_full_disk_is_one_clear_error_and_costs_nothing(manager: CheckpointManager) -> None:
    manager.save(1, state(1.0))
    large = {"weight": torch.zeros(1000, 1000)}
    with (
        _files_at_most(100_000),
        pytest.raises(CheckpointError, match=r"step 2 .*earlier checkpoints are intact") as info,
    ):
        manager.save(2, large)
    assert "\n" not in str(info.value)
    assert [path.name for path in manager.folder.iterdir()] == ["step-00000001"]
    assert manager.load(manager.latest(), state(0.0))["name"] == "at 1.0"
    manager.save(2, large)
    assert step_of(manager.latest()) == 2


def test_training_goes_on_while_a_copy_is_written(manager: CheckpointManager) -> None:
    weight = torch.full((300, 500), 1.0)
    manager.start(1, {"weight": weight})
    weight += 1  # the next step, before or while the first is written
    manager.start(2, {"weight": weight})  # waits for the first
    assert [step_of(path) for path in manager.valid()][:1] == [1]
    manager.wait()
    for path, value in zip(manager.valid(), (1.0, 2.0), strict=True):
        assert torch.equal(
            manager.load(path, {"weight": torch.zeros(300, 500)})["weight"], torch.full((300, 500), value)
        )
    manager.wait()
    manager.look()
    manager.drain()


def test_a_disk_that_fills_while_training_goes_on_is_said_at_the_next_look(manager: CheckpointManager) -> None:
    manager.save(1, state(1.0))
    with _files_at_most(100_000):
        manager.start(2, {"weight": torch.zeros(1000, 1000)})
        manager.drain()
        with pytest.raises(CheckpointError, match=r"step 2 .*earlier checkpoints are intact"):
            manager.look()
    assert [path.name for path in manager.folder.iterdir()] == ["step-00000001"]
    manager.save(3, state(3.0))
    assert step_of(manager.latest()) == 3


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.0, 0.013, 0.11])
def test_killed_while_it_writes_a_run_keeps_what_was_whole(manager: CheckpointManager, delay_s: float) -> None:
    code = (
        "import sys, torch, pathlib; from xllmx.checkpoints.checkpoint import CheckpointManager\n"
        "manager = CheckpointManager(pathlib.Path(sys.argv[1]), keep=3)\n"
        "for step in range(1, 10_000):\n"
        "    manager.start(step, {'weight': torch.full((700, 900), float(step))})\n"
        "    print(step, flush=True)"
    )
    words = [sys.executable, "-c", code, str(manager.folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 4:
            pass
        time.sleep(delay_s)
        process.kill()
    newest = manager.latest()
    assert step_of(newest) >= 3
    for path in manager.valid():
        weight = manager.load(path, {"weight": torch.zeros(700, 900)})["weight"]
        assert torch.equal(weight, torch.full((700, 900), float(step_of(path))))
    manager.save(20_000, {"weight": torch.zeros(2)})
    assert not list(manager.folder.glob(".*"))


@pytest.mark.parametrize("async_save", [False, True])
def test_parts_that_other_machines_wrote_to_disks_of_their_own_make_no_checkpoint(
    manager: CheckpointManager, async_save: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.save(1, state(1.0))
    finish = HashingWriter.finish

    def finished(writer: HashingWriter, **written: Any) -> None:
        finish(writer, **written)
        for name in ("__0_0.distcp", ".hashes-__0_0.distcp.json"):  # as if another machine had written them
            (Path(writer.path) / name).unlink()

    monkeypatch.setattr(HashingWriter, "finish", finished)
    said = r"step-00000002: __0_0.distcp of it went to .*trainer.run_dir is not on a disk that all machines share; .*"
    if async_save:
        manager.start(2, state(2.0))
    with pytest.raises(CheckpointError, match=said + r"or set trainer.checkpoints \(a store\)"):
        _ = manager.wait() if async_save else manager.save(2, state(2.0))
    assert [path.name for path in manager.folder.iterdir()] == ["step-00000001"]


@pytest.mark.slow
@pytest.mark.parametrize("async_save", [False, True])
def test_two_processes_with_a_disk_each_and_no_store_end_with_that_error(tmp_path: Path, async_save: bool) -> None:
    trainer = {"max_steps": 3, "save_every": 2, "async_save": async_save}
    errors = ranks.run_ranks([{"run": tmp_path / "RANK", "trainer": trainer}], num=2, fails=True)
    (line,) = [line for text in errors for line in text.splitlines() if line.startswith("error: ")]
    assert "trainer.run_dir is not on a disk that all machines share" in line
    assert CheckpointManager(tmp_path / "0/checkpoints").valid() == []


@pytest.mark.parametrize(
    "other",
    [
        {"model": {"weight": torch.zeros(5, 3)}},
        {"model": {"weight": torch.zeros(3, 5), "extra": torch.zeros(1)}},
    ],
)
def test_a_checkpoint_of_another_model_is_refused(manager: CheckpointManager, other: dict) -> None:
    manager.save(1, state(1.0))
    with pytest.raises(CheckpointError, match="does not fit this model") as info:
        manager.load(manager.latest(), other)
    assert "\n" not in str(info.value)


def test_bad_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep is 0"):
        CheckpointManager(tmp_path, keep=0)
    with pytest.raises(ValueError, match="step-NNNNNNNN"):
        step_of(tmp_path)


@contextmanager
def _files_at_most(size_bytes: int) -> Iterator[None]:
    """A disk that is full, as far as one process can make one: writing past the limit is an OSError."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
