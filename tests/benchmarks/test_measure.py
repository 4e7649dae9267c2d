"""The measuring itself: rounds alternate, memory and rates are what was spent."""

import time

import pytest
import torch

from benchmarks.measure import Comparison, Timing, compare, matmul_rate


def test_paths_run_in_turn_and_the_first_round_is_not_counted() -> None:
    calls: list[str] = []
    paths = {"literal": lambda: calls.append("a"), "fast": lambda: calls.append("b")}
    comparison = compare(paths, rounds=2, prepare=lambda: calls.append("."))
    assert "".join(calls) == ".a.b" * 3
    assert [len(timing.seconds) for timing in comparison.timings.values()] == [2, 2]


def test_times_and_peak_memory_are_those_of_the_call() -> None:
    paths = {"literal": lambda: torch.ones(2**24).sum(), "fast": lambda: time.sleep(0.05)}
    comparison = compare(paths, rounds=1)
    assert comparison.timings["literal"].peak_bytes == pytest.approx(2**26, rel=0.1)
    assert comparison.timings["fast"].peak_bytes < 2**22
    assert 0.05 <= comparison.timings["fast"].median_s < 0.5


def test_speedup_compares_the_times_of_the_same_round() -> None:
    literal, fast = (Timing(seconds=s, peak_bytes=0, flops=6e9) for s in ((2.0, 8.0, 4.0), (1.0, 2.0, 4.0)))
    comparison = Comparison(timings={"literal": literal, "fast": fast})
    assert comparison.speedup("fast") == 2
    assert comparison.speedup("literal") == 1
    assert fast.flops_per_s == 3e9
    assert literal.spread == pytest.approx(1.5)


def test_matmul_rate_is_a_rate() -> None:
    assert 1e8 < matmul_rate(torch.float32, (64, 96, 128)) < 1e14
