"""A CSV of any length: the rows that one reading of the whole would give, with a few blocks of them in memory."""

import csv
import pickle
import time
import tracemalloc
from pathlib import Path

import pytest

from pre_tokenize.lists import csv_rows
from pre_tokenize.lists.csv_rows import CsvRows
from pre_tokenize.lists.item import BLOCK


def write(file: Path, num: int, *, newline: str = "\n") -> list[tuple[str, str]]:
    rows = [(f"{k}.mp4", f'number {k}, "näive"\nand more' * (k % 3) + "x") for k in range(num)]
    with file.open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.writer(stream, lineterminator=newline)
        writer.writerow(["path", "text"])
        for number, row in enumerate(rows):
            writer.writerow(row)
            if number % 1000 == 7:
                stream.write(newline)  # an empty line is no row
    return rows


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_rows_of_all_blocks_are_those_of_the_whole_file(tmp_path: Path, newline: str) -> None:
    file = tmp_path / "a.csv"
    expected = write(file, 2 * BLOCK + 3, newline=newline)
    rows = CsvRows(file, name="list")
    assert [(item.path, item.text) for item in rows] == expected
    assert [rows[row].row for row in (2 * BLOCK + 2, 0, BLOCK, BLOCK - 1, -1)] == [
        2 * BLOCK + 2, 0, BLOCK, BLOCK - 1, 2 * BLOCK + 2,
    ]  # fmt: skip
    assert pickle.loads(pickle.dumps(rows))[BLOCK].path == expected[BLOCK][0]


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    peaks = []
    for num in (6 * BLOCK, 24 * BLOCK):
        file = tmp_path / f"{num}.csv"
        file.write_text("path,text\n" + "clip.mp4,a red ball rolls to the left\n" * num)
        tracemalloc.start()
        assert sum(1 for _ in CsvRows(file, name="list")) == num
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_a_list_that_changes_while_it_is_worked_on_is_one_error(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    write(file, 5)
    rows = CsvRows(file, name="--input_file a.csv")
    write(file, 6)
    with pytest.raises(ValueError, match=r"a.csv: has changed while it was worked on; run the same command again"):
        rows[0]


def test_a_quote_that_is_not_closed_does_not_take_in_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_rows, "_MOST_LINE_BYTES", 2**16)
    (tmp_path / "a.csv").write_text('path,text\na.mp4,a circle\nb.mp4,"a square\n' + "c.mp4,a ring\n" * 10**5)
    with pytest.raises(ValueError, match=r"a.csv: not a CSV \(field larger than field limit .*; row 1, .* in quotes"):
        CsvRows(tmp_path / "a.csv", name="a.csv")


def test_lines_that_end_in_carriage_returns_take_time_in_proportion(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"path,text\r" + b"a,b\r" * 400_000)
    began = time.process_time()
    assert len(CsvRows(tmp_path / "a.csv", name="a.csv")) == 400_000
    assert time.process_time() - began < 10  # 1 s; with a list, whose first is dear to take away, 60 s
