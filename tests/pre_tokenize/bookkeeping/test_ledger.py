"""Progress is what the shards say it is."""

import fcntl
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lumos.lumos1.data.shards import write_shard
from lumos.lumos1.sequence import Clip
from pre_tokenize.bookkeeping import ledger
from pre_tokenize.bookkeeping.ledger import (
    REPORT,
    Ledger,
    Skip,
    claimed,
    rank_folder,
    read_manifest,
    summary,
    write_json,
)
from tests.xllmx.disk.test_temporary import left_by_a_dead_process


def make_clip(number: int) -> Clip:
    codes = np.full((1, 4, 8), number, np.uint16)
    return Clip(
        prompt_ids=np.arange(3, dtype=np.int32), caption="c", codes=codes, fps=1, duration=1, source=str(number)
    )


def account(ledger: Ledger, start: int, stop: int) -> None:
    """The first of the rows is skipped, the others are clips."""
    skip = Skip(row=start, path="p", reason="too short")
    ledger.write(
        range(start, stop), [make_clip(row) for row in range(start + 1, stop)], skipped=[skip], write_shard=write_shard
    )


def test_the_folder_is_the_released_one() -> None:
    assert rank_folder("out", task=(1, 2), rank=(0, 4)) == Path("out/1-in-2/0-of-4")


def test_what_is_missing_is_read_off_the_shards(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, range(10, 20))
    assert ledger.missing == [range(10, 20)]
    account(ledger, 12, 15)
    account(ledger, 15, 18)
    for each in (ledger, Ledger(tmp_path, range(10, 20))):
        assert each.missing == [range(10, 12), range(18, 20)]
        assert each.num_done == 6
    account(ledger, 10, 12)
    account(ledger, 18, 20)
    assert Ledger(tmp_path, range(10, 20)).missing == []


def test_the_report_is_read_off_the_shards(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, range(8))
    account(ledger, 0, 3)
    account(ledger, 3, 7)
    report = Ledger(tmp_path, range(8)).report()
    assert (report["rows"], report["done"], report["clips"], report["skipped"]) == (8, 7, 5, {"too short": 2})
    assert [item["row"] for item in report["skipped_items"]] == [0, 3]
    assert summary(report) == "7 of 8 rows done, 5 clips, 2 skipped (too short: 2); 64x32: 5"


def test_no_rows_are_done_at_once(tmp_path: Path) -> None:
    assert Ledger(tmp_path, range(4, 4)).missing == []


@pytest.mark.parametrize("name", ["rows-000000002-000000005.parquet", "rows-000000009-000000012.parquet"])
def test_shards_that_overlap_or_belong_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    account(Ledger(tmp_path, range(10)), 0, 3)
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match=f"{name}.*delete it and run again"):
        Ledger(tmp_path, range(10))


def test_two_processes_do_not_work_in_one_folder(tmp_path: Path) -> None:
    with claimed(tmp_path / "a", {}), pytest.raises(ValueError, match="another process is at work"):
        claimed(tmp_path / "a", {}).__enter__()
    with claimed(tmp_path / "a", {}):
        pass


@pytest.mark.parametrize("anew", [False, True])
def test_a_lock_that_was_removed_while_it_was_taken_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anew: bool
) -> None:
    flock = fcntl.flock

    def late(lock, operation: int) -> None:
        """The process that held the folder cleans up, and perhaps a third one begins, before ours locks."""
        (tmp_path / ".lock").unlink()
        if anew:
            (tmp_path / ".lock").touch()
        flock(lock, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(ValueError, match="another process is at work"):
        claimed(tmp_path, {}).__enter__()
    assert (tmp_path / ".lock").exists() == anew


def test_leftovers_of_a_killed_write_are_removed(tmp_path: Path) -> None:
    left = left_by_a_dead_process(tmp_path / "rows-000000000-000000002.parquet")
    left.write_text("half")
    with claimed(tmp_path, {}):
        assert not list(tmp_path.glob("*.tmp"))
        assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_size": 64, "input_sha256": "b"}, "the CSV has changed"),
        ({"target_size": 32, "input_sha256": "a"}, "--target_size is 32, was 64"),
    ],
)
def test_other_settings_are_refused(tmp_path: Path, settings: dict, message: str) -> None:
    with claimed(tmp_path, {"target_size": 64, "input_sha256": "a"}):
        account(Ledger(tmp_path, range(4)), 0, 4)
    with pytest.raises(ValueError, match=message):
        claimed(tmp_path, settings).__enter__()


def test_settings_under_which_no_shard_was_made_bind_nothing(tmp_path: Path) -> None:
    with claimed(tmp_path, {"target_size": 64}):
        pass
    with claimed(tmp_path, {"target_size": 32}):
        assert read_manifest(tmp_path) == {"target_size": 32}


@pytest.mark.parametrize("again", [{"target_size": 64}, {"target_size": 32}, {"target_size": 64, "input_sha256": "b"}])
def test_where_all_rows_were_skipped_they_are_tried_again_under_any_settings(tmp_path: Path, again: dict) -> None:
    with claimed(tmp_path, {"target_size": 64}):
        ledger = Ledger(tmp_path, range(1))
        account(ledger, 0, 1)
        write_json(tmp_path / REPORT, ledger.report())
    with claimed(tmp_path, again):
        assert read_manifest(tmp_path) == again
        assert list(Ledger(tmp_path, range(1)).missing) == [range(1)]
        assert not (tmp_path / REPORT).exists()


@pytest.mark.parametrize("there", ["", "out", "out/1-in-1/0-of-2"])
def test_what_ends_before_its_first_shard_leaves_nothing(tmp_path: Path, there: str) -> None:
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    before = sorted(tmp_path.rglob("*"))
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), claimed(tmp_path / "out" / "1-in-1" / "0-of-1", {}):
            raise error
        assert sorted(tmp_path.rglob("*")) == before


def test_one_of_two_that_ends_leaves_the_folders_another_is_about_to_use(tmp_path: Path) -> None:
    task = tmp_path / "out" / "1-in-1"
    with pytest.raises(KeyboardInterrupt), claimed(task / "0-of-2", {}):
        raise KeyboardInterrupt
    assert not list(task.iterdir())  # the task's folder itself is there: the other is between its two mkdirs
    with claimed(task / "0-of-2", {}):
        with pytest.raises(KeyboardInterrupt), claimed(task / "1-of-2", {}):
            raise KeyboardInterrupt
        assert [path.name for path in task.iterdir()] == ["0-of-2"]


def test_a_process_without_rows_keeps_its_report_and_its_settings(tmp_path: Path) -> None:
    folder = tmp_path / "0-of-1"
    with claimed(folder, {"rows": [4, 4]}):
        write_json(folder / REPORT, Ledger(folder, range(4, 4)).report())
    with pytest.raises(KeyboardInterrupt), claimed(folder, {"rows": [4, 4]}):
        raise KeyboardInterrupt
    assert read_manifest(folder) == {"rows": [4, 4]}


def test_what_ends_after_a_shard_keeps_it_and_its_settings(tmp_path: Path) -> None:
    def work() -> None:
        with claimed(tmp_path / "a", {"target_size": 64}):
            account(Ledger(tmp_path / "a", range(4)), 0, 2)
            raise ValueError("later")

    with pytest.raises(ValueError, match="later"):
        work()
    assert read_manifest(tmp_path / "a") == {"target_size": 64}
    assert Ledger(tmp_path / "a", range(4)).num_done == 2


def test_another_number_of_splits_is_refused(tmp_path: Path) -> None:
    with claimed(tmp_path / "0-of-2", {}):
        account(Ledger(tmp_path / "0-of-2", range(4)), 0, 4)
    with pytest.raises(ValueError, match="another --splits"):
        claimed(tmp_path / "0-of-3", {}).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["0-of-2"]


@pytest.mark.parametrize("again", ["1-in-1/0-of-1", "1-in-1/2-of-3", "2-in-2/0-of-2"])
def test_other_numbers_that_skipped_all_rows_bind_nothing(tmp_path: Path, again: str) -> None:
    """Of two processes one skipped its row, and then the other: no clip was made, and the next may be any number."""
    first, second = (tmp_path / "1-in-1" / f"{rank}-of-2" for rank in range(2))

    def skip_all(folder: Path, row: int) -> None:
        with claimed(folder, {"target_size": 64}):
            account(Ledger(folder, range(row, row + 1)), row, row + 1)
            write_json(folder / REPORT, Ledger(folder, range(row, row + 1)).report())

    skip_all(first, 0)
    with claimed(second, {"target_size": 64}):
        account(Ledger(second, range(1, 4)), 1, 4)
    with pytest.raises(ValueError, match=r"another --splits|made with --all_tasks 1"):
        claimed(tmp_path / again, {"target_size": 32}).__enter__()
    assert Ledger(first, range(1)).num_done == 1
    next(second.glob("*.parquet")).unlink()
    skip_all(second, 1)
    with claimed(tmp_path / again, {"target_size": 32}):
        assert not list(tmp_path.rglob("*.parquet"))
        assert not list(tmp_path.rglob(REPORT))


def test_a_report_that_another_process_removes_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All processes of a new --splits clear the folders of the old one."""
    with claimed(tmp_path / "0-of-1", {}):
        account(Ledger(tmp_path / "0-of-1", range(1)), 0, 1)
        write_json(tmp_path / "0-of-1" / REPORT, Ledger(tmp_path / "0-of-1", range(1)).report())
    read = ledger.read_object

    def removed_first(path: Path, **words: Any) -> Any:
        path.unlink()
        return read(path, **words)

    monkeypatch.setattr(ledger, "read_object", removed_first)
    assert not ledger._is_finished_without_clips(tmp_path / "0-of-1")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"cannot write to .*file"):
        claimed(tmp_path / "file" / "0-of-1", {}).__enter__()
