"""`lumos tokenize` is `python -m pre_tokenize`."""

import subprocess
from pathlib import Path

import pytest

from lumos.cli import tokenize
from tests.lumos.cli.console import Lumos


def test_tokenize_runs_pre_tokenize_with_its_own_words(
    lumos: Lumos, monkeypatch: pytest.MonkeyPatch, repo: Path
) -> None:
    seen: dict[str, object] = {}

    def fake(command: list[str], *, env: dict[str, str], check: bool) -> subprocess.CompletedProcess[str]:
        seen.update(command=command[1:], path=env["PYTHONPATH"])
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(tokenize.subprocess, "run", fake)
    assert lumos("tokenize", "--input_file", "x.csv", "--help")[0] == 3
    assert seen["command"] == ["-m", "pre_tokenize", "--input_file", "x.csv", "--help"]
    assert str(seen["path"]).startswith(str(repo))
