"""The environment of the scripts: made once, installed into when needed, never where another one is given."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FAKE = """#!/bin/bash
echo "$@" >> "$LOG"
case "$*" in
    *"-m venv"*) mkdir -p "${@: -1}/bin" && cp "$0" "${@: -1}/bin/python" ;;
    *"-m pip install"*) echo Collecting torch from x; echo Downloading; [ ! -e "$LOG.cut" ] ;;
esac
"""
"""An interpreter that has every module, notes what it is told, and installs unless told to be cut."""

Source = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkout(repo: Path, tmp_path: Path) -> Path:
    """A checkout with nothing but what the environment is made from, its folder's name with a space."""
    folder = tmp_path / "a checkout"
    (folder / "exps").mkdir(parents=True)
    shutil.copy(repo / "exps" / "env.sh", folder / "exps")
    (folder / "pyproject.toml").write_text("[project]\n")
    return folder


@pytest.fixture
def source(checkout: Path, tmp_path: Path) -> Source:
    """Runs a script that sources env.sh, from another folder, on a machine whose only Python is the fake one."""
    (tmp_path / "bin").mkdir()
    for name in ("bash", "dirname", "basename", "cat", "cksum", "rm", "mkdir", "cp"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    (tmp_path / "bin" / "python3").write_text(FAKE)
    (tmp_path / "bin" / "python3").chmod(0o755)

    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(tmp_path / "bin"), "LOG": str(tmp_path / "log"), **variables}
        script = f'set -euo pipefail; source "{checkout}/exps/env.sh"; echo "$repo|$python|$PYTHONPATH"'
        command = [shutil.which("bash") or "bash", "-c", script]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def told(tmp_path: Path) -> list[str]:
    """What the fake interpreter was told to do since the last look: `venv`, `install`."""
    log = tmp_path / "log"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return ["venv" if "-m venv" in line else "install" for line in lines if "-m " in line]


def test_an_environment_is_made_once_and_used_again(checkout: Path, source: Source, tmp_path: Path) -> None:
    first = source()
    assert first.stdout.strip() == f"{checkout}|{checkout}/.venv/bin/python|{checkout}"
    assert told(tmp_path) == ["venv", "install"]
    assert first.stderr.splitlines()[1:] == ["  torch"]
    again = source()
    assert (again.stdout, again.stderr) == (first.stdout, "")
    assert told(tmp_path) == []


def test_a_changed_project_is_installed_again_into_the_same_environment(
    checkout: Path, source: Source, tmp_path: Path
) -> None:
    source()
    told(tmp_path)
    (checkout / "pyproject.toml").write_text("[project]\nversion = 2\n")
    assert source().returncode == 0
    assert told(tmp_path) == ["install"]


def test_an_installation_that_was_cut_goes_on(source: Source, tmp_path: Path) -> None:
    (tmp_path / "log.cut").touch()
    cut = source()
    assert (cut.returncode, cut.stdout) == (1, "")
    assert "run the same command again, it goes on" in cut.stderr
    (tmp_path / "log.cut").unlink()
    told(tmp_path)
    assert source().returncode == 0
    assert told(tmp_path) == ["install"]


def test_a_machine_without_python_is_told_what_it_needs(source: Source, tmp_path: Path) -> None:
    (tmp_path / "bin" / "python3").unlink()
    found = source()
    assert (found.returncode, found.stderr.count("\n")) == (1, 1)
    assert "no Python >= 3.11 with pip" in found.stderr


def test_an_environment_that_is_given_is_taken_and_nothing_is_made(
    checkout: Path, source: Source, tmp_path: Path
) -> None:
    environment = tmp_path / "conda"
    (environment / "bin").mkdir(parents=True)
    shutil.copy(tmp_path / "bin" / "python3", environment / "bin" / "python")
    for variables in ({"LUMOS_PYTHON": "conda"}, {"VIRTUAL_ENV": str(environment)}, {"CONDA_PREFIX": str(environment)}):
        assert source(**variables).stdout.split("|")[1] == f"{environment}/bin/python"
    assert not (checkout / ".venv").exists()
    assert told(tmp_path) == []


def test_a_python_without_the_packages_is_refused(source: Source) -> None:
    refused = source(LUMOS_PYTHON="/nowhere/python")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "-m pip install -e" in refused.stderr


def test_every_script_is_bash_that_runs_in_any_folder(repo: Path, tmp_path: Path) -> None:
    scripts = [*repo.glob("exps/*.sh"), *repo.glob("eval/*.sh"), *repo.glob("pre_tokenize/*.sh")]
    assert len(scripts) >= 10
    for script in scripts:
        subprocess.run(["bash", "-n", str(script)], check=True)
    words = [str(repo / "eval" / "inference_custom_t2v.sh"), "--help"]
    environment = {**os.environ, "LUMOS_PYTHON": sys.executable}
    done = subprocess.run(["bash", *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "--prompts" in done.stdout
