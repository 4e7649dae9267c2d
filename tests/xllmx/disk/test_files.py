"""Files and folders that are whole or not there."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from xllmx.disk.files import WriteError, atomic_folder, atomic_path, write_text
from xllmx.disk.temporary import remove_stale
from xllmx.run.provenance.environment import environment, git_revision


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "deep" / "a.txt", "one")
    write_text(tmp_path / "deep" / "a.txt", "two")
    assert (tmp_path / "deep" / "a.txt").read_text() == "two"
    assert len(list((tmp_path / "deep").iterdir())) == 1


def test_what_a_library_makes_for_its_owner_alone_has_the_rights_of_other_files(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.bin") as temporary:
        temporary.touch(mode=0o600)
    with atomic_folder(tmp_path / "model") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "b.bin").touch(mode=0o600)
        (folder / "run.sh").touch(mode=0o700)
    (tmp_path / "ours").touch()
    rights = [path.stat().st_mode & 0o777 for path in (tmp_path / "a.bin", tmp_path / "model" / "deep" / "b.bin")]
    assert rights == [(tmp_path / "ours").stat().st_mode & 0o777] * 2
    assert (tmp_path / "model" / "run.sh").stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "model", "ours"]


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


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "No space left on device; free some space or choose another",
        ),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "Disk quota exceeded; free some space"),
        (OSError(errno.EACCES, "Permission denied"), "Permission denied; choose a folder you may write to"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "No space left on device; free some space"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"), "No space left on"),
        (RuntimeError("I/O error: File too large (os error 27)"), "File too large; free some space"),
    ],
)
def test_a_full_disk_is_said_with_the_file_and_what_is_kept(tmp_path: Path, error: Exception, said: str) -> None:
    write_text(tmp_path / "a.txt", "one")
    with pytest.raises(WriteError, match=rf"cannot write .*a\.txt: {said}") as caught, atomic_path(tmp_path / "a.txt"):
        raise error
    assert str(caught.value).endswith("; the a.txt that was there is as it was")
    assert isinstance(caught.value, ValueError)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["one"]


def test_an_error_that_is_not_of_the_disk_is_let_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"), atomic_path(tmp_path / "a.txt"):
        (tmp_path / "gone").read_text()
    with pytest.raises(ValueError, match=r"^No space left in the sentence$"), atomic_path(tmp_path / "a.txt"):
        raise ValueError("No space left in the sentence")


def test_a_limit_of_size_is_said_with_the_file(tmp_path: Path) -> None:
    """In a process of its own: the limit binds all that it writes."""
    program = "import resource, signal, sys; from pathlib import Path; from xllmx.disk.files import write_text\n"
    program += "write_text(Path(sys.argv[1]), 'one')\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    program += "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
    program += "try: write_text(Path(sys.argv[1]), 'x' * 2000)\nexcept ValueError as error: print(error)"
    command = [sys.executable, "-c", program, str(tmp_path / "a.txt")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"cannot write {tmp_path / 'a.txt'}: File too large; free some space")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["one"]


def test_two_processes_do_not_write_one_folder(tmp_path: Path) -> None:
    with (
        atomic_folder(tmp_path / "model"),
        pytest.raises(ValueError, match=r"model is being written by another process \(process"),
    ):
        atomic_folder(tmp_path / "model").__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("renames", [0, 1, 2, 3])
def test_a_folder_is_the_old_one_or_the_new_one_wherever_its_process_is_killed(tmp_path: Path, renames: int) -> None:
    program = "import os, sys; from pathlib import Path; from xllmx.disk import files\n"
    program += "rename, left = Path.rename, [int(sys.argv[2])]\n"
    program += "def counted(self, to):\n    left[0] -= 1\n"
    program += "    if left[0] < 0: os.kill(os.getpid(), 9)\n    return rename(self, to)\n"
    program += "with files.atomic_folder(Path(sys.argv[1])) as made: (made / 'old').touch()\n"
    program += "Path.rename = counted\n"
    program += "with files.atomic_folder(Path(sys.argv[1])) as made: (made / 'new').touch()\n"
    command = [sys.executable, "-c", program, str(tmp_path / "model"), str(renames)]
    assert subprocess.run(command, check=False).returncode == (-9 if renames < 3 else 0)
    remove_stale(tmp_path)
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert found == ["model", "model/old" if renames < 2 else "model/new"]


def _write_half(path: Path) -> None:
    path.write_text("ha")
    raise OSError("full")


def test_environment_names_versions_and_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"python", "platform", "packages", "command", "git_revision"} <= environment().keys()
    monkeypatch.chdir(tmp_path)
    assert git_revision() is None
