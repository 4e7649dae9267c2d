"""Ctrl-C while a program is still loading what it needs; imports nothing that takes time itself."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from xllmx.run.exit_status import STOPPED


@contextmanager
def loading(program: str) -> Iterator[None]:
    """Within it Ctrl-C ends the process at once, with one line and status 130: nothing has been begun that must end.

    For imports, which take seconds: libraries swallow a KeyboardInterrupt there, or end in a traceback. It is for a
    program in a process of its own. Where Ctrl-C is ignored or handled otherwise already, it stays so, and so it does
    outside the main thread, which alone may say what Ctrl-C does.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        os.write(2, f"{program}: stopped before anything was begun\n".encode())
        os._exit(STOPPED)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
