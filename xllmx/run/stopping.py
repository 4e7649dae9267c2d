"""The run's clocks: when to stop before the last step (a signal, the time limit), and how long steps take."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from xllmx.ranks.distributed import any_rank, is_main

ECHO_S = 5.0
"""Seconds after a signal in which another one is taken for the same."""
_SIGNALS = [signal.SIGTERM, signal.SIGINT, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])]
"""Those that stop a run; Windows has no SIGUSR1."""


class StopWatch:
    """A context in which SIGTERM, SIGUSR1 and Ctrl-C ask the run to stop after the step in hand, and time is counted.

    SIGUSR1 is what `sbatch --signal=USR1@300` sends before a job's time is up.

    A second one acts at once, as without this, if it comes more than `ECHO_S` later. Sooner it is an echo: a terminal
    and most schedulers signal a whole group of processes, and torchrun, one of them, passes on what it got. It ends by
    force what is not done after 30 s, unless started with another `--shutdown-timeout`.
    """

    def __init__(self, max_minutes: float = 0.0) -> None:
        """`max_minutes` is counted from now; 0 is no limit."""
        self._limit_s = max_minutes * 60
        self._start = time.monotonic()
        self._signal = ""
        self._signalled_at = 0.0
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopWatch":
        self._signal = ""
        if threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                self._former[name] = signal.signal(name, self._on_signal)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the watch was made."""
        return time.monotonic() - self._start

    def reason(self) -> str | None:
        """Return why to stop now, the same decision on every rank; None to go on."""
        out_of_time = bool(self._limit_s) and self.elapsed_s >= self._limit_s
        if not any_rank(bool(self._signal) or out_of_time):
            return None
        return self._signal or ("time" if out_of_time else "another rank")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self._signal:
            self._signal, self._signalled_at = signal.Signals(number).name, now
            if is_main():  # not through logging, whose lock the main thread may hold
                line = f"\n{self._signal}: saves after this step, then stops; again after {ECHO_S:g} s: at once\n"
                os.write(2, line.encode())
        elif now - self._signalled_at > ECHO_S:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for name, handler in self._former.items():
            signal.signal(name, handler)
        self._former = {}


class LapClock:
    """Time spent on training steps between two rows of metrics, and the part of it spent waiting for data."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._waited_s = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A context whose time counts as waiting for data."""
        began = time.perf_counter()
        yield
        self._waited_s += time.perf_counter() - began

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """A context whose time does not count (evaluation, saving)."""
        began = time.perf_counter()
        yield
        self._began += time.perf_counter() - began

    def lap(self) -> tuple[float, float]:
        """Return the seconds since the last lap and the part of them spent waiting, and start the next lap."""
        now = time.perf_counter()
        elapsed_s = max(now - self._began, 1e-9)
        waited_s, self._waited_s, self._began = self._waited_s, 0.0, now
        return elapsed_s, waited_s / elapsed_s
