"""tests/run.sh runs every check whatever fails, says which did, and ends with pytest's closing line."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

FAKE = """#!/bin/bash
[ "$1" = -m ] || exit 0
echo "${@:2}" >> "$LOG"
if [ "$2" = pytest ]; then echo "..F"; echo "1 failed, 2 passed in 0.12s"; fi
[ "$2 $3" != "$BROKEN" ]
"""
"""An interpreter that has every module, notes which it is to run, and fails in one."""

PROCESSES = "--numprocesses auto --maxprocesses 4 --dist worksteal"

Run = Callable[..., tuple[subprocess.CompletedProcess[str], list[str]]]


@pytest.fixture
def run(repo: Path, tmp_path: Path) -> Run:
    """Runs .ci/run of a small checkout with the fake interpreter; gives the result and what was run."""
    for name in ("tests/run.sh", "exps/env.sh", ".ci/run"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repo / name, tmp_path / name)
    for name in ("lumos/__init__.py", "lumos/tokenizer/vocab.py", "lumos/tokenizer/network.py", "xllmx/data/loader.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "python").write_text(FAKE)
    (tmp_path / "python").chmod(0o755)

    def run(*words: str, broken: str = "") -> tuple[subprocess.CompletedProcess[str], list[str]]:
        log = tmp_path / "log"
        variables = {"LUMOS_PYTHON": str(tmp_path / "python"), "LOG": str(log), "BROKEN": broken}
        environment = {**os.environ, **variables}
        command = [str(tmp_path / ".ci" / "run"), *words]
        result = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
        return result, log.read_text().splitlines()

    return run


def test_all_checks_pass(run: Run) -> None:
    result, told = run()
    assert result.returncode == 0
    assert [line.split()[0] for line in told] == ["ruff", "ruff", "mypy", "pytest"]
    assert result.stdout.splitlines()[-3:] == [
        "--- summary",
        "format ok, lint ok, types ok, tests ok",
        "1 failed, 2 passed in 0.12s",
    ]


@pytest.mark.parametrize(
    ("broken", "name"),
    [("ruff format", "format"), ("ruff check", "lint"), ("mypy ", "types"), ("pytest --numprocesses", "tests")],
)
def test_one_failure_fails_all_and_stops_nothing(run: Run, broken: str, name: str) -> None:
    result, told = run("-x", broken=broken)
    assert result.returncode == 1
    assert len(told) == 4
    assert f"{name} FAILED" in result.stdout.splitlines()[-2]
    assert result.stdout.count("FAILED") == 1
    assert result.stdout.splitlines()[-1] == "1 failed, 2 passed in 0.12s"


def test_words_go_to_pytest_and_fast_leaves_the_slow_tests_out(run: Run) -> None:
    _, told = run("--fast", "tests/a b.py", "-x")
    assert told[-1].startswith(f"pytest {PROCESSES} -m not slow tests/a b.py -x --jaxtyping-packages=")


def test_shapes_are_checked_in_every_module_but_the_compiled_ones(run: Run) -> None:
    _, told = run()
    assert (
        told[-1] == f"pytest {PROCESSES} --jaxtyping-packages=lumos.tokenizer.vocab,xllmx.data.loader,beartype.beartype"
    )
