"""Folders of a store as folders of the disk: of the state there is now, whole, within bounds, and not lost in use."""

import os
import subprocess
import sys
import threading
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from xllmx.run import lock
from xllmx.run.lock import hold_shared
from xllmx.store import folder_copy as module
from xllmx.store.access import StoreError
from xllmx.store.address import Address
from xllmx.store.folder_copy import folder_copy
from xllmx.store.local_copy import LocalCopies, default_copies

MARKS = ("config.json",)


def copy_of(folder: Address) -> Path:
    return folder_copy(folder, marks=MARKS, what="a model")


@pytest.fixture
def model(bucket: Address) -> Address:
    (bucket / "models/mine/config.json").write_bytes(b"{}")
    (bucket / "models/mine/vae/weights.bin").write_bytes(b"weights")
    return bucket / "models/mine"


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_folder_is_brought_once_and_anew_when_a_file_changes(model: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    (model / ".lock").write_bytes(b"of a writer")
    (model / "checkpoints/step-00000001/x").write_bytes(b"of a run")
    first = copy_of(model)
    assert content(first) == {"config.json": b"{}", "vae/weights.bin": b"weights"}
    assert str(first).endswith(f"s3/{model.key}")
    with monkeypatch.context() as patched:
        patched.setattr(Address, "get", lambda *_: pytest.fail("brought again"))
        assert copy_of(model) == first
    (model / "vae/weights.bin").write_bytes(b"WEIGHTS")
    second = copy_of(model)
    assert content(second)["vae/weights.bin"] == b"WEIGHTS"
    assert content(first)["vae/weights.bin"] == b"weights"  # who reads it reads on


def test_a_copy_that_is_cut_is_no_copy_and_is_gone_on_with(model: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    get, brought = Address.get, []

    def cut(address: Address, file: Path) -> None:
        if address.name == "weights.bin":
            raise StoreError(f"{address}: the store cannot be reached")
        get(address, file)

    with monkeypatch.context() as patched:
        patched.setattr(Address, "get", cut)
        patched.setattr(module, "_AT_ONCE", 1)
        with pytest.raises(StoreError, match="cannot be reached"):
            copy_of(model)
    root = default_copies().folder / "folders"
    assert [path.suffix for path in root.iterdir() if path.is_dir()] == [".part"]
    monkeypatch.setattr(Address, "get", lambda address, file: (brought.append(address.name), get(address, file)))
    assert content(copy_of(model)) == {"config.json": b"{}", "vae/weights.bin": b"weights"}
    assert brought == ["weights.bin"]
    assert [path.suffix for path in root.iterdir() if path.is_dir()] == [""]


def test_two_at_once_bring_a_folder_once(model: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    get, brought, found = Address.get, [], []
    monkeypatch.setattr(Address, "get", lambda address, file: (brought.append(address.name), get(address, file)))
    both = [threading.Thread(target=lambda: found.append(copy_of(model))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert found[0] == found[1]
    assert sorted(brought) == ["config.json", "weights.bin"]


def test_a_folder_that_changes_while_it_is_brought_is_not_used(model: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    get = Address.get

    def changing(address: Address, file: Path) -> None:
        get(address, file)
        (model / "config.json").write_bytes(b'{"x": 1}')

    with monkeypatch.context() as patched:
        patched.setattr(Address, "get", changing)
        with pytest.raises(StoreError, match=r"mine changed while it was brought; run the same command again"):
            copy_of(model)
    assert content(copy_of(model))["config.json"] == b'{"x": 1}'


def test_copies_longest_unused_make_room_but_for_those_in_use(
    bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = LocalCopies(folder=tmp_path / "copies", most_bytes=70)
    monkeypatch.setattr(module, "default_copies", lambda: copies)
    for number in range(3):
        (bucket / f"{number}/config.json").write_bytes(bytes([number]) * 30)
    first, second = copy_of(bucket / "0"), copy_of(bucket / "1")
    for age, one in enumerate((first, second)):
        os.utime(one.parents[2], ns=(0, age))
    use = first.parents[2].with_suffix(".use")
    os.close(lock._SHARED.pop(use))  # as if the process that read the first had ended
    third = copy_of(bucket / "2")
    assert [one.is_dir() for one in (first, second, third)] == [False, True, True]
    (bucket / "3/config.json").write_bytes(bytes(30))
    assert copy_of(bucket / "3").is_dir()
    assert second.is_dir()  # it is in use, whatever the bounds


def test_a_lock_that_is_shared_ends_with_its_process(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from xllmx.run.lock import *; hold_shared(Path({str(tmp_path / 'x')!r}))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
    with lock.locked(tmp_path / "x", what="x is held", remedy="wait"):
        pass
    hold_shared(tmp_path / "x")
    hold_shared(tmp_path / "x")
    with (
        pytest.raises(lock.HeldError, match="x is held by another process"),
        lock.locked(tmp_path / "x", what="x is held", remedy="wait"),
    ):
        pass
    os.close(lock._SHARED.pop(tmp_path / "x"))


def test_what_is_no_folder_of_a_model_is_said_before_anything_is_brought(
    model: Address, bucket: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bucket / "data/rows.parquet").write_bytes(b"rows")
    monkeypatch.setattr(Address, "get", lambda *_: pytest.fail("brought"))
    for place, message in {
        bucket / "none": "none is no folder: nothing lies there; correct the address",
        model / "config.json": "config.json is no folder: it is a file; give the folder it lies in",
        bucket / "data": "data is not a model: it has no config.json; give the folder that has one",
        Address("s3", "no-such-bucket/x"): "there is no such bucket; make it, or correct its name",
    }.items():
        with pytest.raises(StoreError, match=message):
            copy_of(place)
    monkeypatch.setattr(module, "_MOST_FILES", 1)
    with pytest.raises(StoreError, match="holds 2 files, too many for a model; give the model's own folder in it"):
        copy_of(model)


def test_a_disk_without_room_is_said_before_anything_is_brought(
    model: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(free=1000))
    copies = default_copies()
    monkeypatch.setattr(module, "default_copies", lambda: replace(copies, most_bytes=10))
    monkeypatch.setattr(Address, "get", lambda *_: pytest.fail("brought"))
    with pytest.raises(StoreError, match=r"mine takes 0.0 GiB, and .* has 0.0 GiB free; make room, or let XDG_CACHE"):
        copy_of(model)
