"""Files and folders that are whole or not there."""

from pathlib import Path

import pytest

from xllmx.files import atomic_folder, atomic_path, write_text
from xllmx.run.environment import environment, git_revision


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "deep" / "a.txt", "one")
    write_text(tmp_path / "deep" / "a.txt", "two")
    assert (tmp_path / "deep" / "a.txt").read_text() == "two"
    assert len(list((tmp_path / "deep").iterdir())) == 1


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "one")
    with pytest.raises(OSError, match="full"), atomic_path(tmp_path / "a.txt") as temporary:
        _write_half(temporary)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["one"]


def test_a_failed_folder_leaves_what_was_there(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with atomic_folder(tmp_path / "model") as temporary:
            (temporary / text).write_text(text)
    with pytest.raises(OSError, match="full"), atomic_folder(tmp_path / "model") as temporary:
        _write_half(temporary / "three")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "two"]


def _write_half(path: Path) -> None:
    path.write_text("ha")
    raise OSError("full")


def test_environment_names_versions_and_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"python", "platform", "packages", "command", "git_revision"} <= environment().keys()
    monkeypatch.chdir(tmp_path)
    assert git_revision() is None
