"""The release's example: its two CSVs are here, small, and its scripts take options as `run_tokenization.sh` does."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pre_tokenize import example, parallel_tokenization_video


@pytest.mark.parametrize("kind", ["image", "video"])
def test_the_example_has_twelve_rows_in_the_columns_of_the_release(repo: Path, kind: str) -> None:
    folder = repo / "pre_tokenize" / "csv_files"
    with (folder / f"test_{kind}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert list(rows[0]) == ["path", "text", "num_frames", "height", "width", "aspect_ratio"]
    assert all((folder / row["path"]).is_file() and row["text"] for row in rows)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 300_000


@pytest.mark.parametrize("there", [True, False])
def test_the_example_takes_the_released_tokenizer_where_it_is_there(
    there: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(example, "has_released", lambda: there)
    options = example.option_parser().parse_args(example.example_words("video"))
    said = capsys.readouterr().out
    if there:
        assert (options.visual_tokenizer, options.target_size, said) == ("Cosmos-Tokenizer-DV4x8x8", 352, "")
    else:
        assert (options.visual_tokenizer, options.size) == ("lumos-tiny", "64x64")
        assert "coded with the bundled tokenizer of lumos-tiny" in said
        assert said.count("\n") == 1


def test_a_wrong_option_is_said_before_a_process_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(example.subprocess, "run", None)
    words = ["--in_filename", "a.csv", "--out_dir", "b", "--splits", "x"]
    assert parallel_tokenization_video.main(words) == 2
    assert "--splits" in capsys.readouterr().err


def test_a_process_starts_without_torch(repo: Path) -> None:
    said = "import sys; from pre_tokenize import example, parallel_tokenization_image as images; "
    said += "example.subprocess.run = lambda words, **_: print('torch' in sys.modules) or example; "
    said += "example.returncode = 0; sys.exit(images.main([]))"
    done = subprocess.run(
        [sys.executable, "-c", said],
        env={**os.environ, "PYTHONPATH": str(repo)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert done.stdout.splitlines()[-1] == "False"
