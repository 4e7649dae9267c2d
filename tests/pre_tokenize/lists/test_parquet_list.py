"""Parquet lists: the rows of the same CSV, and one clear error of what is none."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pre_tokenize.lists.item import BLOCK
from pre_tokenize.lists.table import read_table


def test_rows_are_those_of_the_same_csv_whatever_the_row_groups(tmp_path: Path) -> None:
    num = BLOCK + 1500
    paths, texts = [f" {k}.mp4" for k in range(num)], [None if k % 5 == 0 else f"number {k} " for k in range(num)]
    table = pa.table({"other": range(num), "text": pa.array(texts).dictionary_encode(), "path": paths})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=BLOCK + 700)
    items = read_table(tmp_path / "a.parquet").items
    expected = [
        (k, path.strip(), (text or "").strip(), -1.0) for k, (path, text) in enumerate(zip(paths, texts, strict=True))
    ]
    assert [(item.row, item.path, item.text, item.motion) for item in items] == expected
    for row in (num - 1, 3, BLOCK + 699, BLOCK + 700, BLOCK):
        assert (items[row].row, items[row].path) == (row, f"{row}.mp4")


def test_motion_scores_are_read(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"path": ["a", "b"], "text": ["x", "y"], "unimatch_flow": [2.5, None]}), tmp_path / "a.parquet"
    )
    assert [item.motion for item in read_table(tmp_path / "a.parquet").items] == [2.5, -1.0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"path": ["a"]}, r"lacks the column\(s\) text \(it has: path\)"),
        ({"path": ["a"], "text": [3]}, "has int64 in the column text, which must hold text"),
        ({"path": pa.array([], pa.string()), "text": pa.array([], pa.string())}, "has no row"),
        ({"path": ["a"], "text": ["b"], "unimatch_flow": [float("nan")]}, "row 0 has unimatch_flow nan"),
    ],
)
def test_a_list_without_what_is_needed_is_one_clear_error(
    tmp_path: Path, columns: dict[str, object], message: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=message) as caught:
        read_table(tmp_path / "a.parquet")
    assert "a.parquet" in str(caught.value)


def test_a_cut_file_is_one_clear_error(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": ["a"] * 99, "text": ["b"] * 99}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"a.parquet: .*; give a Parquet file with the columns path,text") as caught:
        read_table(tmp_path / "a.parquet")
    assert "\n" not in str(caught.value)
