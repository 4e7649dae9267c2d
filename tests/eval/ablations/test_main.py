"""The command: what it does first, what it leaves, how it goes on, and what it says beforehand."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from eval.ablations import __main__ as program
from eval.ablations.jobs import Job
from xllmx.run.lock import lock_beside, locked

Make = Callable[..., Job]


@pytest.fixture
def done() -> list[str]:
    """What was done, in order."""
    return []


@pytest.fixture
def make(tmp_path: Path, done: list[str]) -> Make:
    """Makes a job that writes its file."""

    def job(of: str, *needs: str) -> Job:
        def do() -> None:
            done.append(of)
            (tmp_path / f"{of}.json").write_text("{}")

        needed = tuple(tmp_path / f"{name}.json" for name in needs)
        return Job(of=of, what="makes it", made=tmp_path / f"{of}.json", minutes=90, do=do, needs=needed)

    return job


def run(found: list[Job], folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(program, "jobs", lambda *given, **named: found)
    return program.main([str(folder), *words])


def test_what_is_there_is_not_made_again(
    make: Make, done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [make("first"), make("second", "first"), make("third", "second")]
    (tmp_path / "first.json").write_text("{}")
    assert run(found, tmp_path, monkeypatch) == 0
    assert done == ["second", "third"]
    assert "1 of 2, about 180 min left: second makes it" in capsys.readouterr().out
    assert "not run yet" in (tmp_path / "tables.md").read_text()
    assert run(found, tmp_path, monkeypatch) == 0
    assert done == ["second", "third"], "nothing is left"


def test_what_another_process_makes_is_passed_over_and_what_needs_it_too(
    make: Make, done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [make("theirs"), make("of-theirs", "theirs"), make("ours")]
    with locked(lock_beside(tmp_path / "theirs"), what="", remedy=""):
        assert run(found, tmp_path, monkeypatch) == 0
    assert done == ["ours"]
    assert "2 of the jobs wait for what another process does" in capsys.readouterr().out


def test_a_job_that_fails_ends_it_with_its_status(
    make: Make, done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise subprocess.CalledProcessError(2, ["python"])

    failing = Job(of="base-0", what="trains", made=tmp_path / "base-0.json", minutes=1, do=fail)
    assert run([failing, make("next")], tmp_path, monkeypatch) == 2
    assert done == []
    assert "base-0 ended with status 2; the same command goes on" in capsys.readouterr().out


def test_a_dry_run_says_what_is_left_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([str(tmp_path / "new"), "--dry-run", "--only", "random"]) == 0
    said = capsys.readouterr().out
    assert "random-1             trains configs/ablations/random.yaml with seed 1:" in said
    assert "base" not in said
    assert not (tmp_path / "new").exists()


def test_a_report_does_no_job(make: Make, done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run([make("first")], tmp_path, monkeypatch, "--report") == 0
    assert done == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "rope"], "--only rope is no part of the ablations"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--into", "nowhere.md"], "nowhere.md has no place for the table"),
    ],
)
def test_mistakes_are_said_in_a_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main([str(tmp_path / "new"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
