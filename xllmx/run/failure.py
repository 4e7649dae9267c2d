"""One error for the whole run: whichever process fails, the main one says so in one line, and all of them end.

A process that fails leaves its message in the launcher's store. In every process a thread looks there, because the
others wait in a collective that will never be complete (with NCCL for half an hour). Where there is no launcher, errors
simply pass through. What is no mistake of the user's is saved as a report by the process it came up in.
"""

import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed as dist

from xllmx.ranks.distributed import barrier, launched_rank, launched_ranks, shutdown
from xllmx.run.error_report import is_foreseen, memory_line, reported_into, unforeseen
from xllmx.run.exit_status import asks_debug

_LOOK_S = 0.5
_PATIENCE_S = 15.0
"""How long a process waits for another one to print the cause."""


@contextmanager
def ended_together(reports: Path) -> Iterator[None]:
    """A context after which all processes have left the group; an error on any rank ends all of them, with status 1.

    The main rank prints `error: ...`; a rank with an error that nobody foresaw saves its report in the folder `reports`
    and tells where. A rank that cannot tell the main one (there is no process group yet, or no longer) waits a while,
    then prints the error itself.
    """
    if launched_ranks() == 1:
        with reported_into(reports):
            yield
        return
    watch = _Watch(reports)
    watch.start()
    try:
        yield
        barrier()  # while this process still listens: another one may fail after its last step
    except Exception as error:
        watch.report(error)
    watch.stop()
    shutdown()


class _Watch:
    """Looks for the failure of any rank, and tells the others of this one's."""

    def __init__(self, reports: Path) -> None:
        self._reports = reports
        self._launcher = os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else None
        # of this start of the workers: a launcher that restarts them keeps its store
        self._key = f"xllmx/failure/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
        self._stopped = threading.Event()
        self._speaking = threading.Lock()

    def start(self) -> None:
        """Start looking."""
        threading.Thread(target=self._look, daemon=True).start()

    def stop(self) -> None:
        """Stop looking."""
        self._stopped.set()

    def report(self, error: Exception) -> None:
        """Tell the main rank, then end this process with status 1; never returns."""
        if not dist.is_initialized():  # the main process has found the same, and ends us; or this machine is at fault
            if launched_rank():
                time.sleep(_PATIENCE_S)
            self._end(self._said(error))
        if _is_echo(error):
            time.sleep(_PATIENCE_S)  # the watching thread ends this process sooner, with the cause
            self._end(f"another process has died ({_line(error)}); see what it said, and start again to resume")
        message = self._said(error)
        store = dist.distributed_c10d._get_default_store()
        if launched_rank() == 0:
            self._end(message, store)
        store.set(self._key, f"{message} [process {launched_rank()}]")
        time.sleep(_PATIENCE_S)
        self._end("")

    def _said(self, error: Exception) -> str:
        """Return the line for people, with the report of an error that is not the user's saved."""
        if asks_debug():
            traceback.print_exception(error)
        if isinstance(error, ValueError):
            return str(error)
        line = memory_line(error) or (_line(error) if is_foreseen(error) else None)
        return line or unforeseen(error, folder=self._reports)

    def _look(self) -> None:
        while not self._stopped.wait(_LOOK_S):
            if self._launcher not in (None, os.getppid()):  # killed: whoever takes our place must not find us at work
                self._end("torchrun, which started this process, has died; it ends with it")
            if not dist.is_initialized():
                continue
            try:
                store = dist.distributed_c10d._get_default_store()
                if store.check([f"{self._key}/said"]):
                    self._end("")
                if store.check([self._key]) and launched_rank() == 0:
                    self._end(store.get(self._key).decode(), store)
            except (RuntimeError, ValueError):  # the store is gone, and the main process with it; or we have left
                if not self._stopped.wait(_PATIENCE_S):
                    self._end("")

    def _end(self, message: str, store: dist.Store | None = None) -> None:
        self._speaking.acquire()  # never given back: the first to come ends the process
        if message:
            own = f" [process {launched_rank()}]" if launched_rank() else ""
            sys.stderr.write(f"error: {message}{own}\n")
        sys.stdout.flush()
        sys.stderr.flush()
        if store is not None:
            store.set(f"{self._key}/said", "")
            time.sleep(4 * _LOOK_S)  # the store may live in this process, and the others are to read it
        os._exit(1)


def _is_echo(error: Exception) -> bool:
    """Whether the error only says that another process is gone."""
    words = ("gloo", "nccl", "connection closed", "connection reset")
    said = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    return said or isinstance(error, dist.DistError)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
