"""How every command ends: 0 done; 1 a check failed; 2 what the user can mend, in one line; 130 Ctrl-C; 143 SIGTERM.

The commands are those of `lumos`, `python -m pre_tokenize`, `python -m eval.*` and `python -m lumos.train`. Imports
nothing that takes time, so that a command may be stopped while it still loads what it needs.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

CHECK_FAILED = 1
"""Something was looked at and is not as it should be; what it is was printed."""
USER_ERROR = 2
"""Something the user can mend, said in one line."""
STOPPED = 130
"""Ctrl-C."""
TERMINATED = 143
"""SIGTERM."""


def status_of(program: str, command: Callable[[], int], *, stopped: str = "stopped") -> int:
    """Run a command; return its status, or that of an interrupt or a mistake, which is said in one line.

    The line begins with `program`; after Ctrl-C it goes on with `stopped`.
    """
    try:
        with terminating():
            return command()
    except KeyboardInterrupt:
        print(f"{program}: {stopped}", file=sys.stderr)
        return STOPPED
    except (ValueError, OSError) as error:
        print(f"{program}: error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return USER_ERROR


@contextmanager
def terminating() -> Iterator[None]:
    """Within it SIGTERM ends the process the orderly way, so that no temporary file is left."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
