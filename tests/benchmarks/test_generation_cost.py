"""The table of README.md is what the command prints, and its numbers are those of a dry run."""

from pathlib import Path

import pytest

from benchmarks.generation_cost import NUM_GPUS, ROWS, reckoned, table
from xllmx.ranks.machines import UTILISATION


def test_the_page_shows_what_the_command_prints(repo: Path) -> None:
    page = (repo / "README.md").read_text(encoding="utf-8")
    assert len(table().splitlines()) == 2 + len(ROWS)
    assert table() in page


def test_a_number_is_flops_over_what_a_gpu_reaches() -> None:
    one = reckoned("1B/stage-1-image", {}, gpu="A100")
    assert one.costs[0].passes == 100
    assert one.seconds == pytest.approx(one.costs[0].flops / (312e12 * UTILISATION))
    hours = (reckoned("1B/stage-1-image", {}, gpu="H200").seconds or 0) * 553 * 4 / NUM_GPUS / 3600
    (row,) = [line for line in table().splitlines() if line.startswith("| 1B/stage-1-image")]
    assert f"GenEval, 2,212: {hours:.2g} h" in row


def test_nothing_is_looked_for_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert all(reckoned(name, given, gpu="H200").model.is_absent for name, given in ROWS)
    assert list(tmp_path.iterdir()) == []
