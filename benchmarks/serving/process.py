"""The server: a process of its own that is started, killed, started again, and looked at (Linux: /proc)."""

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_START_S, _END_S = 300, 120
_LOOK_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a server holds at a moment."""

    life: int
    """Which process, from 0: a kill ends one."""
    jobs: int
    """Requests that were served in this life."""
    rss_mib: float
    files: int
    """Open file descriptors."""
    threads: int


class Server:
    """`lumos serve` on a folder of data and a port that stays the same."""

    def __init__(self, data: Path, *, log: Path, words: Sequence[str] = ()) -> None:
        """Take where its data and what it says go, and further options; it is not started yet."""
        self.data, self.log, self.life = data, log, -1
        self._words = list(words)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Start it; return the seconds until it answers.

        Raises:
            ValueError: it does not start.
        """
        began, self.life = time.monotonic(), self.life + 1
        command = [sys.executable, "-m", "lumos", "serve", "--port", str(self.port), "--data", str(self.data)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([*command, *self._words], stdout=log, stderr=log)
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() - began > _START_S:
                raise ValueError(f"the server did not start; the end of what it said: {self._last_line()}")
            time.sleep(_LOOK_S)
        return time.monotonic() - began

    def kill(self) -> None:
        """End it in the middle of whatever it does (SIGKILL)."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def check(self) -> None:
        """Check that it has not ended by itself, for which its clients would wait without end.

        Raises:
            ValueError: it has.
        """
        process = self._process
        if process is not None and (status := process.poll()) is not None:
            raise ValueError(f"the server ended by itself with {status}; the end of what it said: {self._last_line()}")

    def stop(self) -> int:
        """Have it end as it should (SIGTERM); return its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_END_S)

    def sample(self, *, jobs: int) -> Sample | None:
        """Return what it holds now; None where it does not run."""
        process = self._process  # another thread kills it
        place = Path(f"/proc/{process.pid}") if process is not None else Path("/nowhere")
        try:
            lines = (place / "status").read_text(encoding="utf-8").splitlines()
            files = sum(1 for _ in (place / "fd").iterdir())
        except OSError:
            return None
        about = dict(line.split(":", 1) for line in lines if ":" in line)
        if "VmRSS" not in about:  # killed, and not waited for yet
            return None
        held = round(int(about["VmRSS"].split()[0]) / 1024, 1)
        return Sample(life=self.life, jobs=jobs, rss_mib=held, files=files, threads=int(about["Threads"]))

    def mistakes(self) -> list[str]:
        """Return the last line of each traceback in what it has said."""
        found, inside = [], False
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Traceback"):
                inside = True
            elif inside and line and not line.startswith((" ", "\t")):
                inside = False
                found.append(line)
        return found

    def _last_line(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "nothing")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=5):
                return True
        except (OSError, urllib.error.URLError):
            return False
