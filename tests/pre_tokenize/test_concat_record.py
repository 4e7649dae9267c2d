"""An output without one clip is no success, and says why."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pre_tokenize import __main__ as program
from pre_tokenize import concat_record

Command = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        ("a.png,hello\nb.png,hi\n", "'a.png': paths count from the CSV's folder"),
        ("$HOME/a.png,hello\n", "nothing is put in the place of $NAME"),
        ("a.png,\n", "is the column text the one with the captions?"),
    ],
)
def test_a_csv_without_one_clip_fails_and_says_the_likely_cause(
    tmp_path: Path, tokenizers: Path, command: Command, capsys: pytest.CaptureFixture[str], rows: str, cause: str
) -> None:
    (tmp_path / "a.csv").write_text(f"path,text\n{rows}")
    assert program.main(command(tmp_path / "a.csv", tmp_path / "out", modality="image")) == 1
    assert cause in capsys.readouterr().err
    assert concat_record.main(["--output_dir", str(tmp_path / "out")]) == 1
    assert cause in capsys.readouterr().err
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert (index["num_clips"], sum(index["skipped"].values())) == (0, rows.count("\n"))
