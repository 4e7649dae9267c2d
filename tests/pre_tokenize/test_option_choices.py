"""What options may be, said without torch, is what those who take them know; and a list is read without torch."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from lumos.lumina_video.data import flow_estimators
from lumos.media.decoding.decord_frames import Reader
from pre_tokenize import option_choices as choices
from pre_tokenize.bookkeeping.ledger import FORMS


def test_they_are_those_of_their_owners() -> None:
    assert tuple(FORMS) == choices.PRODUCTS
    assert get_args(Reader) == choices.READERS
    assert tuple(flow_estimators.ESTIMATORS) == choices.ESTIMATORS


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-m pre_tokenize --input_file bad.csv --output_dir out", "row 0 has 3 fields, the header 2"),
        ("-m pre_tokenize --input_file gone.csv --output_dir out", "gone.csv: no such file"),
        ("-m pre_tokenize.motion --input_file bad.csv --output_file b.csv", "row 0 has 3 fields, the header 2"),
        ("-m lumos.cli look bad.csv", "row 0 has 3 fields, the header 2"),
    ],
)
def test_a_mistake_in_a_list_is_said_before_torch_is_loaded(
    repo: Path, tmp_path: Path, words: str, message: str
) -> None:
    (tmp_path / "bad.csv").write_text("path,text\na.mp4,it flies, slowly\n")
    program, *rest = words.split()[1:]
    code = "import runpy, sys; sys.modules['torch'] = None; runpy.run_module(sys.argv.pop(1), run_name='__main__')"
    command = [sys.executable, "-c", code, program, *rest]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env={"PYTHONPATH": str(repo)}
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert message in done.stderr
