"""The report says what was measured and where it ran."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.measure import Comparison, Timing
from benchmarks.report import machine_facts, write_report


def test_report_has_facts_command_and_shares_of_the_matmul_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    timings = {name: Timing(seconds=(2.0,), peak_bytes=2**20, flops=4e9) for name in ("literal", "fast bf16")}
    out = tmp_path / "new" / "report.json"
    write_report(out, title="t", comparisons={"work": Comparison(timings=timings)}, rates={"fp32": 4e9, "bf16": 8e9})
    report = json.loads(out.read_text())
    assert report["results"]["work"]["literal"]["share_of_matmul"] == 0.5
    assert report["results"]["work"]["fast bf16"]["share_of_matmul"] == 0.25
    assert report["machine"]["torch"] == torch.__version__
    assert {"processor", "commit", "threads"} <= report["machine"].keys()
    assert "50%" in capsys.readouterr().out


def test_the_facts_are_those_of_this_process() -> None:
    assert machine_facts()["threads"] == torch.get_num_threads()
