"""The server's bench itself, small."""

import json
from pathlib import Path

import pytest

from benchmarks.serving.__main__ import main


@pytest.mark.slow
def test_bad_requests_and_a_kill_lose_and_double_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    assert main(["--requests", "12", "--clients", "4", "--kills", "1", "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["wrong"] == []
    assert report["notes"]["accepted"] >= 5
    assert "wrong: 0" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "said"), [(["--requests", "0"], "requests is 0"), (["--kills", "5"], "kills is 5")])
def test_numbers_that_are_none_are_said(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err
