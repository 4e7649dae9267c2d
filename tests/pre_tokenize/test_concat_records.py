"""Records of ranks merge as the released tool merged them (tests/golden/lumina), and by exact names."""

import json
from pathlib import Path
from typing import Any

import pytest

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


@pytest.mark.parametrize(
    ("files", "save", "message"),
    [
        ({"0-of-1-record.jsonl": '{"path": "a"}\n'}, None, "a row has no ori_id"),
        ({"0-of-1-record.jsonl": '{"ori_id": true}\n'}, None, "a row has no ori_id"),
        ({"0-of-1-record.jsonl": "[1]\n"}, None, "a row has no ori_id"),
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
