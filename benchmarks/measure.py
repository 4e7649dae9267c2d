"""Measuring: paths that do the same work run in turn in one process; their times, memory and rates.

Each round runs every path once, so that whatever else the machine does falls on all of them. Nothing is asserted.
"""

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What one path took."""

    seconds: tuple[float, ...]
    """Wall time of every round."""
    peak_bytes: int
    """Memory at its highest beyond what was held before the call, the largest of all rounds; -1 where unknown."""
    flops: float | None = None
    """Floating point operations of one call, by arithmetic (a multiplication and an addition are two)."""

    @property
    def median_s(self) -> float:
        """Median wall time."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median of the rounds."""
        return (max(self.seconds) - min(self.seconds)) / self.median_s

    @property
    def flops_per_s(self) -> float | None:
        """Achieved FLOP/s."""
        return None if self.flops is None else self.flops / self.median_s


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Paths that do the same work; the first one is the literal path, which the others are measured against."""

    timings: Mapping[str, Timing]
    """By name, the literal one first."""

    @property
    def literal(self) -> Timing:
        """The path the others are compared with."""
        return next(iter(self.timings.values()))

    def speedup(self, name: str) -> float:
        """How many times faster than the literal path: the median over rounds of the two times of the same round."""
        pairs = zip(self.literal.seconds, self.timings[name].seconds, strict=True)
        return statistics.median(literal / own for literal, own in pairs)

    def to_dict(self, rate: float | None = None) -> dict[str, Any]:
        """Plain numbers of every path; `rate` is the matmul rate its FLOP/s are a share of."""
        return {name: self.row(name, rate) for name in self.timings}

    def row(self, name: str, rate: float | None) -> dict[str, Any]:
        """Return the plain numbers of one path."""
        timing = self.timings[name]
        achieved = timing.flops_per_s
        return {
            "median_s": timing.median_s,
            "spread": round(timing.spread, 3),
            "speedup": round(self.speedup(name), 3),
            "peak_mib": round(timing.peak_bytes / 2**20, 1),
            "gflops_per_s": None if achieved is None else round(achieved / 1e9, 1),
            "share_of_matmul": None if achieved is None or rate is None else round(achieved / rate, 3),
            "seconds": list(timing.seconds),
        }


def compare(
    paths: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 5,
    flops: Mapping[str, float] | None = None,
    device: torch.device | str = "cpu",
    prepare: Callable[[], object] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Comparison:
    """Return times and peak memory of paths run in turn, `rounds` times after one round that is not counted.

    Args:
        paths: by name, the literal one first; each call does the whole work once.
        rounds: how often each is timed.
        flops: arithmetic operations of one call, by name.
        device: where the work is done; a CUDA device is waited for.
        prepare: called before every call, outside the clock.
        clock: `time.process_time` counts this process's work only, for one thread on a core that others use too.
    """
    device = torch.device(device)
    seconds: dict[str, list[float]] = {name: [] for name in paths}
    peaks = dict.fromkeys(paths, -1)
    for counted in (False, *[True] * rounds):
        for name, path in paths.items():
            if prepare is not None:
                prepare()
            taken, peak = _run(path, device, clock)
            if counted:
                seconds[name].append(taken)
                peaks[name] = max(peaks[name], peak)
    return Comparison(
        timings={
            name: Timing(seconds=tuple(taken), peak_bytes=peaks[name], flops=(flops or {}).get(name))
            for name, taken in seconds.items()
        }
    )


def matmul_rate(
    dtype: torch.dtype,
    shape: tuple[int, int, int] = (2048, 2048, 2048),
    *,
    device: torch.device | str = "cpu",
    product: Callable[[Tensor, Tensor], Tensor] = torch.nn.functional.linear,
) -> float:
    """Return the FLOP/s of a product [m, k] x [k, n] of `shape` = (m, k, n): the best of 5 after a first one."""
    m, k, n = shape
    left, right = torch.randn(m, k, device=device, dtype=dtype), torch.randn(n, k, device=device, dtype=dtype)
    with torch.inference_mode():
        seconds = [_run(lambda: product(left, right), torch.device(device))[0] for _ in range(6)][1:]
    return 2 * m * k * n / min(seconds)


def seconds_of(work: Callable[[], object], *, device: torch.device | str = "cpu") -> float:
    """Return the wall time of one call, to the end of what it started on the device."""
    return _run(work, torch.device(device))[0]


def _run(
    path: Callable[[], object], device: torch.device, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, int]:
    """Return time and peak memory of one call."""
    gc.collect()
    before = _start_peak(device)
    start = clock()
    path()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    taken = clock() - start
    return taken, _peak(device, before)


def _start_peak(device: torch.device) -> int:
    """Return the bytes held now; the high-water mark starts from here."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if not _STATUS.exists():
        return -1
    ctypes.CDLL(None).malloc_trim(0)  # what earlier calls freed would hide what this one takes
    Path("/proc/self/clear_refs").write_text("5")
    return _status_bytes("VmRSS")


def _peak(device: torch.device, before: int) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) - before
    return -1 if before < 0 else max(0, _status_bytes("VmHWM") - before)


def _status_bytes(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
