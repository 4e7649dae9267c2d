"""Copies of a store's files on the disk: of the content there is now, within bounds."""

import os
from pathlib import Path

import pytest

from xllmx.store.address import Address
from xllmx.store.local_copy import COPIES, LocalCopies, default_copies, kept_copy, passing_copy


def test_a_copy_is_brought_once_and_anew_when_its_content_changes(
    bucket: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bucket / "a.csv").write_bytes(b"one")
    first = kept_copy(bucket / "a.csv")
    assert (first.read_bytes(), first.suffix) == (b"one", ".csv")
    os.utime(first, ns=(5, 5))
    with monkeypatch.context() as patched:
        patched.setattr(Address, "get", lambda *_: pytest.fail("brought again"))
        assert kept_copy(bucket / "a.csv") == first
    assert first.stat().st_mtime_ns == 5  # else who reads it takes it for changed
    (bucket / "a.csv").write_bytes(b"two")
    assert kept_copy(bucket / "a.csv").read_bytes() == b"two"


def test_a_path_is_its_own_copy(tmp_path: Path) -> None:
    assert kept_copy(tmp_path / "x") == tmp_path / "x"


def test_the_copies_longest_unused_make_room(bucket: Address, tmp_path: Path) -> None:
    copies = LocalCopies(folder=tmp_path / "copies", most_bytes=70)
    for number in range(3):
        (bucket / f"{number}.bin").write_bytes(bytes([number]) * 30)
    first, second = copies.of(bucket / "0.bin"), copies.of(bucket / "1.bin")
    os.utime(first, ns=(10, 0))
    os.utime(second, ns=(5, 20))
    with second.open("rb") as opened:
        third = copies.of(bucket / "2.bin")
        assert {*copies.folder.iterdir()} == {first, third}
        assert opened.read() == bytes([1]) * 30  # who has it open reads on
    assert copies.of(bucket / "1.bin").read_bytes() == bytes([1]) * 30


def test_a_copy_that_another_process_removes_while_they_are_counted_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / COPIES).mkdir()
    for name in ("a", "b"):
        (tmp_path / COPIES / name).write_bytes(bytes(30))
    is_file = Path.is_file

    def then_removed(path: Path) -> bool:
        was_there = is_file(path)
        if path.name == "a":
            path.unlink()
        return was_there

    default_copies.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "is_file", then_removed)
        assert default_copies().folder == tmp_path / COPIES
    default_copies.cache_clear()
    assert [path.name for path in (tmp_path / COPIES).iterdir()] == ["b"]


def test_a_copy_that_is_cut_on_the_way_leaves_nothing(
    bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bucket / "a").write_bytes(b"whole")
    copies = LocalCopies(folder=tmp_path / "copies", most_bytes=70)
    info = (bucket / "a").info()
    monkeypatch.setattr(Address, "info", lambda _: {**info, "size": 9})
    with pytest.raises(OSError, match=r"arrived with 5 of its 9 bytes; run the same command again"):
        copies.of(bucket / "a")
    assert [*copies.folder.iterdir()] == []


def test_a_passing_copy_goes_when_it_was_used(bucket: Address) -> None:
    (bucket / "a.mp4").write_bytes(b"one")
    with passing_copy(bucket / "a.mp4") as file:
        assert (file.read_bytes(), file.suffix) == (b"one", ".mp4")
    assert not file.exists()
