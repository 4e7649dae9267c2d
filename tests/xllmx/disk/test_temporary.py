"""Names of what is being written: of one process, and removed when that process is dead."""

import os
import re
import subprocess
import sys
from pathlib import Path

from xllmx.disk.temporary import remove_stale, temporary_beside


def left_by_a_dead_process(path: Path, *, kind: str = "tmp") -> Path:
    """The name that a process which has ended would have given."""
    program = "import sys; from pathlib import Path; from xllmx.disk.temporary import temporary_beside;"
    program += f"print(temporary_beside(Path({str(path)!r}), kind={kind!r}))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return Path(said.stdout.strip())


def test_every_name_is_another_one_and_tells_the_process(tmp_path: Path) -> None:
    names = {temporary_beside(tmp_path / "clip.mp4").name for _ in range(50)}
    assert len(names) == 50
    assert all(re.fullmatch(rf"\.clip\.mp4\.[0-9a-f]{{8}}-{os.getpid()}-[0-9a-f]{{8}}\.tmp", name) for name in names)


def test_the_longest_name_has_a_temporary_one_that_can_be_written(tmp_path: Path) -> None:
    for letter, number in (("n", 255), ("é", 127)):
        place = temporary_beside(tmp_path / (letter * number))
        place.touch()
        assert place.exists()


def test_what_dead_processes_left_goes_and_everything_else_stays(tmp_path: Path) -> None:
    ours = temporary_beside(tmp_path / "a.txt")
    left_file, left_folder = (left_by_a_dead_process(tmp_path / name) for name in ("a.txt", "model"))
    elsewhere = left_file.with_name(re.sub(r"[0-9a-f]{8}-", "00000000-", left_file.name, count=1))
    old = elsewhere.with_name(elsewhere.name.replace("a.txt", "old.txt"))
    users = [tmp_path / name for name in ("b.tmp", ".b.tmp", ".b.123.tmp", ".making-x-1-abc")]
    left_folder.mkdir()
    for path in (ours, left_file, left_folder / "half", elsewhere, old, *users):
        path.touch()
    os.utime(old, (0, 0))
    remove_stale(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([ours, elsewhere, *users])


def test_a_whole_folder_gets_the_name_it_was_about_to_get(tmp_path: Path) -> None:
    new, late = (left_by_a_dead_process(tmp_path / name, kind="whole") for name in ("model", "there"))
    for folder in (new, late, tmp_path / "there"):
        folder.mkdir()
        (folder / folder.name).touch()
    remove_stale(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "model", f"model/{new.name}", "there", "there/there"
    ]  # fmt: skip


def test_a_process_that_has_ended_but_was_not_asked_for_its_status_is_dead(tmp_path: Path) -> None:
    program = "from xllmx.disk.temporary import temporary_beside; from pathlib import Path;"
    program += f"temporary_beside(Path({str(tmp_path / 'x')!r})).touch()"
    process = subprocess.Popen([sys.executable, "-c", program])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert len(list(tmp_path.iterdir())) == 1
    remove_stale(tmp_path)
    assert list(tmp_path.iterdir()) == []
    process.wait()
