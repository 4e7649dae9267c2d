"""Reasons for a run to end before its last step: a signal, or the time it was given."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from xllmx.distributed import any_rank


class StopWatch:
    """A context in which SIGTERM and Ctrl-C ask the run to stop after the step in hand, and time is counted.

    A second Ctrl-C or SIGTERM acts at once, as without this.
    """

    def __init__(self, max_minutes: float = 0.0) -> None:
        """`max_minutes` is counted from now; 0 is no limit."""
        self._limit_s = max_minutes * 60
        self._start = time.monotonic()
        self._signal = ""
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopWatch":
        if threading.current_thread() is threading.main_thread():
            for name in (signal.SIGTERM, signal.SIGINT):
                self._former[name] = signal.signal(name, self._on_signal)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the watch was made."""
        return time.monotonic() - self._start

    def reason(self) -> str | None:
        """Returns why to stop now, the same decision on every rank; None to go on."""
        out_of_time = bool(self._limit_s) and self.elapsed_s >= self._limit_s
        if not any_rank(bool(self._signal) or out_of_time):
            return None
        return self._signal or ("time" if out_of_time else "another rank")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signal = signal.Signals(number).name
        self._restore()

    def _restore(self) -> None:
        for name, handler in self._former.items():
            signal.signal(name, handler)
        self._former = {}
