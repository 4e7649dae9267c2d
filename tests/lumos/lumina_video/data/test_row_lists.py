"""Lists of rows in four forms; what is wrong with single rows is counted, and no pickle runs anything."""

import json
import os
import pickle
from pathlib import Path

import pytest
import torch

from lumos.lumina_video.data.row_lists import LISTS, BrokenRow, each_row, first_object, number_in, read_rows, usable

ROWS = [{"path": "a", "prompt": "b", "score": 1.5}, {"path": "c", "prompt": "d", "score": None}]


def write(path: Path, rows: object) -> Path:
    if path.suffix == ".pth":
        torch.save(rows, path)
    elif path.suffix == ".pkl":
        path.write_bytes(pickle.dumps(rows))
    else:
        assert isinstance(rows, list)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(lines if path.suffix == ".jsonl" else json.dumps(rows))
    return path


@pytest.mark.parametrize("suffix", [suffix for suffix in LISTS if suffix != ".csv"])
def test_a_list_is_read_in_each_form(tmp_path: Path, suffix: str) -> None:
    assert read_rows(write(tmp_path / f"list{suffix}", ROWS), remedy="write it again") == ROWS


class Command:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", [".pkl", ".pth"])
def test_no_list_runs_anything(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"list{suffix}", [*ROWS, Command(tmp_path / "run")])
    with pytest.raises(ValueError, match=rf"list\{suffix}: no list of rows \(it asks for .*\); write it again"):
        read_rows(path, remedy="write it again")
    assert not (tmp_path / "run").exists()


def test_lines_that_are_no_json_stand_for_themselves_and_a_cut_last_one_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "list.jsonl").write_text('{"a": NaN}\nbad\n{"b"')
    first, second = read_rows(tmp_path / "list.jsonl", remedy="mend it")
    assert first.keys() == {"a"}
    assert isinstance(second, BrokenRow)
    assert second.reason.startswith("line 2 is not valid JSON")


def test_rows_that_cannot_be_used_are_counted_and_all_of_them_are_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def number(row: object, where: str) -> int:
        if not isinstance(row, int):
            raise ValueError(f"{where} is no number")
        return row

    path = tmp_path / "list.json"
    assert usable(path, [1, 2], number) == [1, 2]
    assert usable(path, [], number) == []
    assert caplog.messages == []
    assert usable(path, [1, "a", BrokenRow("cut"), 4], number) == [1, 4]
    assert caplog.messages == [f"{path}: 2 of 4 rows are left out; the first: row 1 is no number"]
    with pytest.raises(ValueError, match="none of its 2 rows can be used; the first: row 0 is no number"):
        usable(path, ["a", "b"], number)


@pytest.mark.parametrize("suffix", [suffix for suffix in LISTS if suffix != ".csv"])
def test_the_first_object_tells_what_rows_are(tmp_path: Path, suffix: str) -> None:
    assert first_object(write(tmp_path / f"list{suffix}", [1, [], *ROWS])) == ROWS[0]
    assert first_object(write(tmp_path / f"none{suffix}", [1])) == {}
    assert first_object(write(tmp_path / f"empty{suffix}", [])) == {}
    if suffix != ".jsonl":
        path = tmp_path / f"index{suffix}"
        path.write_text("{}") if suffix == ".json" else write(path, {"format": 1})
        assert first_object(path) is None


def test_text_behind_the_first_object_is_not_parsed(tmp_path: Path) -> None:
    """Of a million rows it takes most of a minute, for each task, before they are read."""
    for name, text in (("list.jsonl", '\nbad\n{"a": 1}\n{'), ("list.json", ' [1, {"a": 1} , {')):
        (tmp_path / name).write_text(text)
        assert first_object(tmp_path / name) == {"a": 1}
    for text in ("[", "[1 2 x]", "[" * 100_000):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ValueError, match=r"bad\.json is not valid JSON"):
            first_object(tmp_path / "bad.json")


def test_lines_are_read_one_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "list.jsonl").write_bytes(b'{"a": 1}\n' * 100_000 + b"\xff")
    rows = each_row(tmp_path / "list.jsonl", remedy="mend it")
    assert next(rows) == {"a": 1}
    with pytest.raises(ValueError, match=r"list\.jsonl is not UTF-8 text \(.* at byte 900000\); mend it"):
        list(rows)


@pytest.mark.parametrize(("value", "number"), [
    (1.5, 1.5), ("2", 2.0), (-1, -1.0), (3, 3.0), (3.1, None), ("-1.01", None), (True, None), ("nan", None),
    (float("nan"), None), (10**400, None), ([1], None), (None, None), ("fast", None),
])  # fmt: skip
def test_a_number_is_one_within_bounds(value: object, number: float | None) -> None:
    assert number_in(value, least=-1, most=3) == number
    assert number_in(float("inf")) is number_in("-inf") is None
    assert number_in("1e300") == 1e300
