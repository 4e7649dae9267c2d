"""Folders that many processes fill: what a process is making lies apart, and goes with it."""

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lumos.cli.jobs.outputs import OutputFolder, PlainFolder, move, staging_folder


def test_a_staging_folder_is_inside_and_gone_afterwards(tmp_path: Path) -> None:
    with staging_folder(tmp_path / "new") as staging:
        (staging / "half.mp4").touch()
        with staging_folder(tmp_path / "new") as other:
            assert {staging.parent, other.parent} == {tmp_path / "new"}
            assert staging != other
        assert (staging / "half.mp4").exists()
    assert list((tmp_path / "new").iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    program = "import os, sys; from pathlib import Path; from lumos.cli.jobs.outputs import staging_folder\n"
    program += (
        "with staging_folder(Path(sys.argv[1])) as folder: (folder / 'half.mp4').touch(); os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.rglob("half.mp4")] == ["half.mp4"]
    (tmp_path / "clip.mp4").touch()
    with staging_folder(tmp_path) as live, staging_folder(tmp_path):
        assert live.is_dir()
        assert not list(tmp_path.rglob("half.mp4"))
    assert list(tmp_path.iterdir()) == [tmp_path / "clip.mp4"]


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ValueError, match=r"cannot write to .*file/more: Not a directory"),
        staging_folder(tmp_path / "file" / "more"),
    ):
        raise AssertionError("nothing is begun there")


def test_another_file_system_is_said_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def across(path: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "replace", across)
    with pytest.raises(ValueError, match=r"on another file system, .*; choose an --out inside this folder"):
        move(tmp_path / "made", tmp_path / "o" / "clip.mp4")


def test_a_plain_folder_keeps_the_record_beside_the_output(tmp_path: Path) -> None:
    folder = PlainFolder(tmp_path / "o")
    assert isinstance(folder, OutputFolder)
    assert folder.find("clip.mp4") is None
    (tmp_path / "made.mp4").write_bytes(b"frames")
    assert folder.put("clip.mp4", tmp_path / "made.mp4") == folder.find("clip.mp4") == tmp_path / "o" / "clip.mp4"
    assert folder.recorded("clip.mp4") == tmp_path / "o" / "clip.mp4"
    assert folder.staging == tmp_path / "o"
