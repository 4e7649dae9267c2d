"""The server's bench itself, small."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks.serving.__main__ as bench
from benchmarks.serving.__main__ import main
from benchmarks.serving.process import Server


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


def test_a_server_that_ends_by_itself_ends_the_bench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(self: Server) -> float:
        said = "print('starting'); raise SystemExit('no room')"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-c", said], stdout=log, stderr=log)
        return 0.0

    monkeypatch.setattr(Server, "start", start)
    monkeypatch.setattr(bench, "_SAMPLE_S", 0.05)
    assert main(["--requests", "3", "--clients", "2", "--kills", "0"]) == 2
    assert "the server ended by itself with 1; the end of what it said: no room" in capsys.readouterr().err
