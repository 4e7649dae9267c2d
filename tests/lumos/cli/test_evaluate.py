"""`lumos evaluate NAME ...` is `python -m eval.NAME ...`."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from lumos.cli import evaluate
from tests.lumos.cli.console import Lumos

MODULES = {name: module for name, (module, _) in evaluate.PROGRAMS.items() if module}


@pytest.mark.parametrize("name", MODULES)
def test_a_program_gets_its_own_words(name: str, lumos: Lumos, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    module = importlib.import_module(MODULES[name])
    monkeypatch.setattr(module, "main", lambda words: seen.extend(words) or 1)
    assert lumos("evaluate", name, "--help", "a=b")[0] == 1
    assert seen == ["--help", "a=b"]


def test_the_list_of_programs_is_the_help(lumos: Lumos, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        lumos("evaluate", "--help")
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in evaluate.PROGRAMS)
    status, _, error = lumos("evaluate")
    assert status == 2
    assert "NAME" in error


def test_an_unknown_program_is_one_line_with_the_nearest(lumos: Lumos) -> None:
    status, _, error = lumos("evaluate", "genevall", "--out", "x")
    assert status == 2
    start = "lumos: error: lumos evaluate genevall: there is no such program; "
    assert error.startswith(start + "did you mean geneval?")


def test_a_scorer_is_its_script_in_this_environment(lumos: Lumos, monkeypatch: pytest.MonkeyPatch, repo: Path) -> None:
    seen: dict[str, object] = {}

    def fake(command: list[str], *, env: dict[str, str], check: bool) -> subprocess.CompletedProcess[str]:
        seen.update(command=command, python=env["LUMOS_PYTHON"])
        return subprocess.CompletedProcess(command, 2)

    monkeypatch.setattr(evaluate.subprocess, "run", fake)
    assert lumos("evaluate", "score", "vbench", "videos", "results", "--dry-run")[0] == 2
    script = repo / "eval" / "scorers" / "vbench.sh"
    assert script.is_file()
    assert seen == {"command": ["bash", str(script), "videos", "results", "--dry-run"], "python": sys.executable}


@pytest.mark.parametrize("words", [(), ("shapes",), ("../launch",)])
def test_only_scorers_are_run_as_scripts(words: tuple[str, ...], lumos: Lumos) -> None:
    status, _, error = lumos("evaluate", "score", *words)
    assert status == 2
    assert "one of geneval, vbench, vbench_i2v" in error
