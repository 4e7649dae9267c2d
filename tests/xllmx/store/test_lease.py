"""One process at a time in a folder of a store, and the next one when it has died."""

import json
import threading
import time
from typing import Any

import pytest

from xllmx.run.lock import HeldError
from xllmx.store import lease
from xllmx.store.address import Address
from xllmx.store.lease import check_held, leased


def held_by(file: Address, **holder: Any) -> None:
    file.write_bytes(json.dumps({"process": 4711, "host": "node3", "since": "then", "place": "x", **holder}).encode())


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_SETTLE_S", 0.01)


def test_one_holds_it_and_then_the_next(bucket: Address) -> None:
    place = bucket / ".lock"
    with leased(place, what="it is filled", remedy="wait"):
        with (
            pytest.raises(HeldError, match=r"it is filled by another process \(process \d+ on .*, since .*\); wait; "),
            leased(place, what="it is filled", remedy="wait"),
        ):
            pass
        assert place.is_file()
    assert not place.exists()
    with leased(place, what="it is filled", remedy="wait"):
        assert place.is_file()


def test_the_place_of_a_process_that_died_here_is_free_at_once(bucket: Address) -> None:
    held_by(bucket / ".lock", place=lease.place_here(), process=2**22 + 5)
    with leased(bucket / ".lock", what="", remedy=""):
        assert json.loads((bucket / ".lock").read_bytes())["process"] != 2**22 + 5


def test_one_of_another_machine_is_taken_for_dead_when_it_was_not_renewed(
    bucket: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_by(bucket / ".lock")
    with (
        pytest.raises(HeldError, match="process 4711 on node3, since then"),
        leased(bucket / ".lock", what="", remedy=""),
    ):
        pass
    now = time.time()
    monkeypatch.setattr(lease.time, "time", lambda: now + lease.OLD_S + 5)
    with leased(bucket / ".lock", what="", remedy=""):
        assert b"4711" not in (bucket / ".lock").read_bytes()


@pytest.mark.parametrize(
    ("holder", "is_free"),
    [
        ({"job": "alps 31", "restarts": 0}, True),
        ({"job": "alps 31", "restarts": 0, "place": lease.place_here(), "process": 1}, True),  # its number taken again
        ({"job": "alps 31", "restarts": 1}, False),  # another step of the same start
        ({"job": "alps 32", "restarts": 0}, False),
        ({}, False),
    ],
)
def test_a_job_that_slurm_queued_again_takes_the_place_it_had_at_once(
    bucket: Address, monkeypatch: pytest.MonkeyPatch, holder: dict[str, Any], is_free: bool
) -> None:
    for name, value in {"JOB_ID": "31", "RESTART_COUNT": "1", "CLUSTER_NAME": "alps"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    held_by(bucket / ".lock", **holder)
    if is_free:
        with leased(bucket / ".lock", what="", remedy=""):
            said = json.loads((bucket / ".lock").read_bytes())
        assert (said["job"], said["restarts"]) == ("alps 31", 1)
    else:
        with pytest.raises(HeldError, match="process 4711 on node3"), leased(bucket / ".lock", what="", remedy=""):
            pass


def test_it_is_renewed_while_it_is_held(bucket: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWED_EVERY_S", 0.01)
    written: list[bool] = []
    write = Address.write_bytes

    def noted(self: Address, content: bytes, *, new: bool = False) -> None:
        write(self, content, new=new)
        written.append(new)

    monkeypatch.setattr(Address, "write_bytes", noted)
    with leased(bucket / ".lock", what="", remedy=""):
        deadline = time.monotonic() + 60
        while len(written) < 3 and time.monotonic() < deadline:
            (bucket / ".lock").is_file()
    assert written[:3] == [True, False, False]


def test_of_two_that_find_the_same_one_dead_one_alone_holds_its_place(
    bucket: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow one finds it dead, and removes the file when the fast one has written its own there."""
    monkeypatch.setattr(lease, "_SETTLE_S", 2.0)
    place = bucket / ".lock"
    held_by(place, place=lease.place_here(), process=2**22 + 5)
    slow_is_there, fast_has_written, both = threading.Event(), threading.Event(), threading.Barrier(2)
    unlink, write = Address.unlink, Address.write_bytes

    def is_fast() -> bool:
        return threading.current_thread().name == "fast"

    def removed(self: Address, missing_ok: bool = False) -> None:
        if not is_fast():
            slow_is_there.set()
        assert (slow_is_there if is_fast() else fast_has_written).wait(60)
        unlink(self, missing_ok)

    def written(self: Address, content: bytes, *, new: bool = False) -> None:
        write(self, content, new=new)
        if is_fast():
            fast_has_written.set()

    monkeypatch.setattr(Address, "unlink", removed)
    monkeypatch.setattr(Address, "write_bytes", written)
    ends: list[str] = []

    def hold() -> None:
        try:
            with leased(place, what="it is filled", remedy="wait"):
                ends.append("held")
                both.wait(60)
        except HeldError as error:
            ends.append(str(error).partition(" (")[0])
            both.wait(60)

    threads = [threading.Thread(target=hold, name=name) for name in ("fast", "slow")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(ends) == ["held", "it is filled by another process"]


def test_who_finds_another_in_its_place_ends_at_the_next_use(bucket: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWED_EVERY_S", 0.01)
    place = bucket / "run" / ".lock"
    with leased(place, what="it is filled", remedy="wait"):
        check_held(bucket / "run")
        held_by(place, token="another")
        deadline = time.monotonic() + 60
        while place not in lease._LOST and time.monotonic() < deadline:
            time.sleep(0.01)
        check_held(bucket)
        said = r"another process has taken the place of this one: it is filled by another process \(process 4711"
        with pytest.raises(HeldError, match=said):
            check_held(bucket / "run")
    assert b"4711" in place.read_bytes()  # it is not this one's to remove
    check_held(bucket / "run")
