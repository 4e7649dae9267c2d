"""A part that fails, crashes or hangs is told so, with what it found and said."""

import sys
import time
from pathlib import Path

import pytest

from benchmarks.device.findings import Check, Findings, Row
from benchmarks.device.outcome import Outcome, run_part, table

GOOD = '{"rows": [{"name": "a", "value": 2.0, "unit": "ms", "best": 1.0}], "checks": [], "left_out": [], "facts": {}}'
WRITE = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text({!r}); sys.exit({})"


def run(code: str, *, limit_s: float = 60) -> Outcome:
    return run_part("a", "of all", [sys.executable, "-c", code], limit_s=limit_s)


def test_a_part_that_ends_well_has_passed() -> None:
    outcome = run(WRITE.format(GOOD, 0))
    assert outcome.passed
    assert outcome.findings == Findings(rows=[Row(name="a", value=2.0, unit="ms", best=1.0)])
    assert "by arithmetic 1 ms" in outcome.text()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('no kernel image')", "ended with status 1\n  no kernel image"),
        ("import os; os.kill(os.getpid(), 11)", "ended with status -11"),
        (WRITE.format(GOOD, 70), "ended with status 70"),
        ("pass", "found nothing"),
    ],
)
def test_a_part_that_crashes_has_failed_with_what_it_said(code: str, said: str) -> None:
    outcome = run(code)
    assert not outcome.passed
    assert outcome.fault.startswith(said)
    assert "FAILED" in outcome.text()


def test_a_failed_check_fails_the_part_and_its_numbers_stay() -> None:
    bad = GOOD.replace('"checks": []', '"checks": [{"name": "b", "found": 1.0, "most": 0.1}]')
    outcome = run(WRITE.format(bad, 1))
    assert (outcome.passed, outcome.fault) == (False, "")
    assert outcome.findings is not None
    assert outcome.findings.checks == [Check(name="b", found=1.0, most=0.1)]


def test_a_part_that_hangs_is_stopped_with_all_it_started(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(3); pathlib.Path({str(alive)!r}).write_text('')"
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    start = time.monotonic()
    outcome = run(code, limit_s=1)
    assert outcome.fault.startswith("stopped after 1 s")
    assert time.monotonic() - start < 30
    time.sleep(4)
    assert not alive.exists()


def test_the_table_has_every_number_and_every_fault() -> None:
    row, check = Row(name="step", value=3.0, unit="ms", best=2.0), Check(name="same", found=1.0, most=0.1)
    found = Findings(rows=[row], checks=[check], left_out=["no GPU"], facts={"gpu": "H200", "cores": 16})
    outcomes = [
        Outcome(name="a", title="A", seconds=1.0, findings=found),
        Outcome(name="b", title="B", seconds=1.0, findings=None, fault="stopped after 40 s\n  last words"),
    ]
    lines = table(outcomes).splitlines()
    assert lines[0] == "gpu H200, cores 16"
    assert lines[4:] == [
        "| a | step | 3 ms | 2 ms | 1.50 |",
        "| a | same | **failed**: 1.0e+00 | 1.0e-01 | |",
        "| a | left out: no GPU | | | |",
        "| b | **failed**: stopped after 40 s last words | | | |",
    ]
