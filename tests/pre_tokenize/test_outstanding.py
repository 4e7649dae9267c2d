"""What is outstanding of a pre-tokenisation, from the names of its shards alone."""

import json
from pathlib import Path

import pytest

from pre_tokenize import __main__ as program
from pre_tokenize.outstanding import main, outstanding

ROWS = 6


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """5 tasks of 2 processes of 6 rows, of which 1 and 4 are finished; empty shards, as none is opened."""
    for task in range(1, 6):
        for rank in range(2):
            folder = tmp_path / f"{task}-in-5" / f"{rank}-of-2"
            folder.mkdir(parents=True)
            start = (2 * task - 2 + rank) * ROWS
            (folder / "manifest.json").write_text(json.dumps({"rows": [start, start + ROWS]}))
            for first in range(start, start + ROWS, 3):
                (folder / f"rows-{first:09d}-{first + 3:09d}.parquet").touch()
    next((tmp_path / "2-in-5" / "1-of-2").glob("rows-*")).unlink()
    for path in (tmp_path / "3-in-5" / "0-of-2").iterdir():
        path.unlink()
    (tmp_path / "3-in-5" / "0-of-2").rmdir()
    (tmp_path / "5-in-5" / "0-of-2" / "manifest.json").unlink()
    return tmp_path


def test_tasks_with_rows_that_no_shard_has_are_listed_as_an_array(ledger: Path, capsys) -> None:
    assert main(["--output_dir", str(ledger)]) == 1
    said = capsys.readouterr()
    assert said.out == "2-3,5\n"
    assert "3 of 5 tasks are not finished" in said.err
    assert "sbatch --array=2-3,5 exps/slurm/pre_tokenize.sbatch --all_tasks 5" in said.err


def test_nothing_is_printed_where_all_is_finished(ledger: Path, capsys) -> None:
    for task in (2, 3, 5):
        (ledger / f"{task}-in-5").rename(ledger / f"away-{task}")
    (ledger / "1-in-5").rename(ledger / "1-in-1")
    (ledger / "4-in-5").rename(ledger / "away-4")
    assert main(["--output_dir", str(ledger)]) == 0
    assert capsys.readouterr() == ("", f"{ledger}: all 1 tasks are finished\n")


def test_tasks_that_were_not_begun_are_outstanding(ledger: Path, tmp_path: Path) -> None:
    (ledger / "4-in-5").rename(ledger / "away")
    assert outstanding(ledger) == ([2, 3, 4, 5], 5)
    assert outstanding(tmp_path / "none", all_tasks=3) == ([1, 2, 3], 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output_dir", "none"], "none: nothing was begun here (no folder N-in-M); give its --output_dir"),
        (["--output_dir", "none", "--all_tasks", "0"], "--all_tasks is 0; it must be at least 1"),
        (["--output_dir", "LEDGER", "--all_tasks", "7"], "--all_tasks is 7, but "),
    ],
)
def test_what_cannot_be_answered_is_one_line(ledger: Path, capsys, words: list[str], said: str) -> None:
    assert main([str(ledger) if word == "LEDGER" else word for word in words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_another_number_of_tasks_is_not_begun_beside_shards(images, tmp_path: Path, command, capsys) -> None:
    shard = tmp_path / "3-in-5" / "0-of-1" / "rows-000000000-000000002.parquet"
    shard.parent.mkdir(parents=True)
    shard.touch()
    assert program.main(command(images.file, tmp_path, modality="image")) == 2
    assert "3-in-5 was made with --all_tasks 5, and this is --all_tasks 1; give the same" in capsys.readouterr().err
