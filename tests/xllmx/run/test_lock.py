"""Locks: one holder, who is named; given back however the holder ends, even if a child of it goes on."""

import errno
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from xllmx.run import lock
from xllmx.run.lock import HeldError, lock_beside, locked, remove_unheld

HOLD = """
import os, sys, time
from pathlib import Path
from xllmx.run.lock import locked
with locked(Path(sys.argv[1]), what="x", remedy="y"):
    if len(sys.argv) > 2 and os.fork() == 0:
        os.close(1)
        time.sleep(30)
        os._exit(0)
    print("held", flush=True)
    time.sleep(30)
"""


@contextmanager
def holder(path: Path, *words: str) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), *words], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with holder(tmp_path / ".lock") as process, pytest.raises(HeldError) as caught:
        locked(tmp_path / ".lock", what="RUN is trained", remedy="wait").__enter__()
    assert f"RUN is trained by another process (process {process.pid} on " in str(caught.value)
    assert str(caught.value).endswith("); wait")
    with locked(tmp_path / ".lock", what="", remedy=""):
        assert (tmp_path / ".lock").exists()
    assert not (tmp_path / ".lock").exists()


def test_a_killed_holder_gives_it_back_though_its_child_goes_on(tmp_path: Path) -> None:
    with holder(tmp_path / ".lock", "fork") as process:
        process.kill()
        process.wait()
        with locked(tmp_path / ".lock", what="", remedy="", wait=True):  # the child may not have dropped it yet
            assert f'"process": {os.getpid()}' in (tmp_path / ".lock").read_text()


def test_one_that_waits_has_it_when_the_other_one_ends(tmp_path: Path) -> None:
    with holder(tmp_path / ".lock") as process:
        start = time.monotonic()
        subprocess.Popen(["sh", "-c", f"sleep 0.4; kill {process.pid}"]).wait()
        with locked(tmp_path / ".lock", what="", remedy="", wait=True):
            assert time.monotonic() - start > 0.3


def test_locks_of_dead_holders_are_removed_and_those_of_live_ones_stay(tmp_path: Path) -> None:
    lock_beside(tmp_path / "model").touch()
    with holder(lock_beside(tmp_path / "other")):
        remove_unheld(tmp_path)
        assert list(tmp_path.iterdir()) == [lock_beside(tmp_path / "other")]


def test_where_there_are_no_locks_a_warning_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", no_locks)
    with caplog.at_level(logging.WARNING), locked(tmp_path / ".lock", what="", remedy=""):
        assert "has no locks (No locks available): see to it that one process alone writes there" in caplog.text
