"""A CSV with the columns path,text is a list of files, read as pre-tokenisation reads it."""

import csv
from pathlib import Path

import pytest

from lumos.lumina_video.data.csv_files import read_csv_files
from lumos.lumina_video.data.row_lists import read_rows


def written(folder: Path, text: str) -> Path:
    path = folder / "videos.csv"
    path.write_text(text)
    return path


def test_rows_are_files_with_their_prompts_and_what_is_known_of_them(tmp_path: Path) -> None:
    head = "text,path,height,seconds,unimatch_flow,other\n"
    text = f'\ufeff{head}"a dog, ""old""",a.mp4,48,2.5,,x\n\n,b.mp4\nno path,,,,1.5,\n'
    assert read_rows(written(tmp_path, text), remedy="") == [
        {"path": "a.mp4", "prompt": 'a dog, "old"', "height": "48", "seconds": "2.5"},
        {"path": "b.mp4"},
        {"prompt": "no path", "unimatch_flow": "1.5"},
    ]


def test_paths_count_from_its_folder_or_else_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lists").mkdir()
    for name in ("both.mp4", "here.mp4", "lists/both.mp4"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "lists", f"path,text\nboth.mp4,x\nhere.mp4,x\nnone.mp4,x\n{'n' * 5000}.mp4,x\n")
    found = [row["path"] for row in read_rows(path, remedy="")]
    assert found == ["both.mp4", str(tmp_path / "here.mp4"), "none.mp4", f"{'n' * 5000}.mp4"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "path,prompt\na.mp4,x\n",
            r"lacks the column\(s\) text \(it has: path, prompt\); its first line must name path,text",
        ),
        ("", r"lacks the column\(s\) path, text"),
        ("path,text\na.mp4,a dog, old\n", "row 0 has more fields than the header; put captions with commas in quotes"),
        ('path,text\na.mp4,"a dog\n', r"not a CSV \(.*\); write a CSV"),
        (f"path,text\na.mp4,{'x' * (2**20 + 1)}\n", r"not a CSV \(field larger than .*\); write a CSV"),
    ],
)
def test_what_is_no_such_csv_is_one_error_with_a_remedy(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_rows(written(tmp_path, text), remedy="")


def test_readers_side_by_side_keep_the_longest_field_of_others(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    (tmp_path / "a.csv").write_text("path,text\n" + "".join(f"{index}.mp4,{'x' * 200_000}\n" for index in range(3)))
    first, second = (read_csv_files(tmp_path / "a.csv", most_bytes=2**20) for _ in range(2))
    assert next(first)["path"] == next(second)["path"] == "0.mp4"
    assert csv.field_size_limit() == limit
    first.close()
    assert [row["path"] for row in second] == ["1.mp4", "2.mp4"]
