"""Records of ranks merge as the released tool merged them (tests/golden/lumina), and by exact names."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pre_tokenize.bookkeeping.records import read_record
from pre_tokenize.concat_records import main


def merge(folder: Path, entry: dict[str, Any]) -> tuple[int, Path]:
    for name, text in entry["files"].items():
        (folder / name).write_text(text)
    target = folder / (entry["save"] or "record.jsonl")
    words = ["--save_path", str(target)] if entry["save"] else []
    return main(["--record_dir", str(folder), *words]), target


def test_merged_records_are_the_golden_ones(golden: Path, tmp_path: Path) -> None:
    entries = json.loads((golden / "lumina" / "data.json").read_text())["concat"]
    for number, entry in enumerate(entries):
        folder = tmp_path / str(number)
        folder.mkdir()
        status, target = merge(folder, entry)
        if not entry["ok"]:
            assert (status, target.exists()) == (2, False)
            continue
        expected = entry["result"]
        if backup := [name for name in entry["files"] if name.endswith(".bak")]:  # read by the release; not by us
            (line,) = entry["files"][backup[0]].splitlines(keepends=True)
            expected = expected.replace(line, "")
        assert (status, target.read_text()) == (0, expected)
    assert len(entries) == 5


def test_files_count_by_their_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"10-of-11-record.jsonl": '{"ori_id": 4}\n', "2-of-11-record.jsonl": '{"ori_id": 4}\nbad\n{"ori_id": 1}\n'}
    status, target = merge(tmp_path, {"files": files, "save": None})
    assert (status, target.read_text()) == (0, '{"ori_id": 1}\n{"ori_id": 4}\n')
    said = capsys.readouterr()
    assert "2-of-11-record.jsonl, line 2 is not valid JSON" in said.err
    assert said.out.endswith("record.jsonl: 2 rows\n")


def test_a_row_with_nan_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A score that is none, as the release writes it; also as the last row, and where two files have it."""
    line = '{"ori_id": 1, "path": "a.mp4", "prompt": "a", "unimatch_flow": NaN}\n'
    files = {f"{rank}-of-2-record.jsonl": line for rank in range(2)}
    status, target = merge(tmp_path, {"files": files, "save": None})
    assert (status, target.read_text(), capsys.readouterr().err) == (0, line, "")
    (row,) = read_record(target).rows
    assert math.isnan(row["unimatch_flow"])


def test_a_broken_last_line_that_ends_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, target = merge(tmp_path, {"files": {"0-of-1-record.jsonl": '{"ori_id": 1}\nbad\n'}, "save": None})
    assert (status, target.read_text()) == (0, '{"ori_id": 1}\n')
    assert "line 2 is not valid JSON" in capsys.readouterr().err


def test_ids_may_be_text(tmp_path: Path) -> None:
    lines = ['{"ori_id": "b"}', '{"ori_id": "10"}', '{"ori_id": "a"}', '{"ori_id": 9}', '{"ori_id": "b"}']
    files = {"0-of-1-record.jsonl": "".join(line + "\n" for line in lines)}
    status, target = merge(tmp_path, {"files": files, "save": None})
    assert status == 0
    assert target.read_text().splitlines() == [lines[3], lines[1], lines[2], lines[0]]


@pytest.mark.parametrize(
    ("files", "save", "message"),
    [
        ({"0-of-1-record.jsonl": '{"path": "a"}\n'}, None, "a row has no ori_id"),
        ({"0-of-1-record.jsonl": '{"ori_id": true}\n'}, None, "a row has no ori_id"),
        ({"0-of-1-record.jsonl": "[1]\n"}, None, "a row has no ori_id"),
        ({"0-of-1-record.jsonl": '{"ori_id": ""}\n'}, None, "a row has no ori_id"),
        ({"0-of-1-record.jsonl": '{"ori_id": "3"}\n{"ori_id": 3}\n'}, None, "ori_id 3 stands for two different rows"),
        ({"0-of-1-record.jsonl": '{"ori_id": 1}\n'}, "all.txt", "must end in .jsonl or .json"),
        ({"0-of-1-record.jsonl.bak": '{"ori_id": 1}\n'}, None, "holds no N-of-M-record.jsonl"),
        ({"0-of-2-record.jsonl": '{"ori_id": 1}\n', "1-of-2-record.jsonl": '{"ori_id": 1, "x": 2}'}, None, "ori_id 1"),
    ],
)
def test_what_cannot_be_merged_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, str], save: str | None, message: str
) -> None:
    status, target = merge(tmp_path, {"files": files, "save": save})
    error = capsys.readouterr().err
    assert (status, message in error, error.count("\n")) == (2, True, 1), error
    assert not target.exists()


def test_no_record_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {f"{rank}-of-2-record.jsonl": f'{{"ori_id": {rank}}}\n' for rank in range(2)}
    status, target = merge(tmp_path, {"files": files, "save": "1-of-2-record.jsonl"})
    assert (status, target.read_text()) == (2, files[target.name])
    assert f"--save_path: {target} is one of the records" in capsys.readouterr().err
