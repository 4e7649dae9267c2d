"""All parts on a CPU, on small networks, as `gpu.sh` runs them; and one that fails among them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.device import __main__ as program
from benchmarks.device import parts
from benchmarks.device.outcome import Outcome


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_whole_run_passes_on_a_cpu_and_leaves_a_json_and_a_table(repo: Path, tmp_path: Path) -> None:
    words = [
        "bash",
        str(repo / "benchmarks" / "gpu.sh"),
        "--small",
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "a.json"),
    ]
    environment = {**os.environ, "LUMOS_PYTHON": sys.executable}
    run = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads((tmp_path / "a.json").read_text())
    assert list(found["parts"]) == list(parts.PARTS)
    assert all(part["passed"] for part in found["parts"].values())
    table = (tmp_path / "a.md").read_text()
    for name in ("first picture, decoded", "guided step at 1x2", "training step, activations kept", "refinement 96x64"):
        assert f"| {name}" in table
    assert "all parts passed" in run.stdout


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The parts that are run; the second fails."""
    asked: list[str] = []

    def run_part(name: str, title: str, command: list[str], *, limit_s: float) -> Outcome:
        asked.append(f"{name} {limit_s:g}")
        assert command[-1] == "--out"
        return Outcome(name=name, title=title, seconds=1.0, findings=None, fault="" if name != "agreement" else "odd")

    monkeypatch.setattr(program, "run_part", run_part)
    return asked


def test_a_part_that_fails_stops_no_other_and_fails_the_whole(
    failing: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.json"
    assert program.main(["--small", "--device", "cpu", "--out", str(out)]) == 1
    assert [line.split()[0] for line in failing] == list(parts.PARTS)
    assert failing[0] == "rates 400"  # a CPU's patience
    said = capsys.readouterr().out
    assert said.index("--- agreement") < said.index("--- compiled") < said.index("FAILED: rates, agreement")
    assert json.loads(out.read_text())["parts"]["agreement"]["fault"] == "odd"


def test_one_part_is_run_here_and_writes_nothing_unless_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert program.main(["--small", "--device", "cpu", "--part", "rates"]) == 0
    assert "bf16 product of 256^3" in capsys.readouterr().out
    assert list(tmp_path.rglob("*.*")) == []


def test_a_cpu_is_asked_for_small_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--device", "cpu"]) == 2
    assert "--small tries out all parts" in capsys.readouterr().err
