"""How every program ends: one number for one kind of end, and one line on stderr for whatever is no success.

0 done; 1 a check failed; 2 what the user can mend; 70 what nobody foresaw, with the path of a report; 130 Ctrl-C; 141
nobody reads the output any more; 143 SIGTERM. Imports nothing that takes time, so that a program may be stopped while
it still loads what it needs.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from xllmx.run.error_report import UnforeseenError, is_foreseen, memory_line, unforeseen
from xllmx.run.notices import saying_notices
from xllmx.store.said import with_addresses

CHECK_FAILED = 1
"""Something was looked at and is not as it should be; what it is was printed."""
USER_ERROR = 2
"""Something the user can mend, said in one line."""
UNFORESEEN = 70
"""A mistake of ours, said in one line with the path of a report."""
STOPPED = 130
"""Ctrl-C."""
UNREAD = 141
"""Whoever was to read the output has gone, as `head` does."""
TERMINATED = 143
"""SIGTERM."""

_OBEYED = dict.fromkeys((*range(32), *range(127, 160)), "?")
"""Characters that a terminal would obey, as they may stand in the name of a stranger's file."""
_MOST_CHARACTERS = 600
"""Of an error's line."""
DEBUG = "--debug"
"""The word that every program takes: tracebacks are shown."""


def status_of(
    program: str, command: Callable[[], int], *, words: Sequence[str] | None = None, stopped: str = "stopped"
) -> int:
    """Run a command; return its status, or that of an interrupt or an error, which is said in one line.

    Args:
        program: what the line begins with.
        command: what is run; it reads its own command line, so that mistakes in it are said in the same way.
        words: its command line; None is that of this process.
        stopped: what is said after Ctrl-C.
    """
    words = sys.argv[1:] if words is None else words
    _show_whatever_is_written()
    try:
        with terminating(), saying_notices(lambda line: _say(f"{program}: {with_addresses(line)}")):
            status = command()
            sys.stdout.flush()
            return status
    except KeyboardInterrupt:
        _say(f"{program}: {stopped}")
        return STOPPED
    except BrokenPipeError:
        return _unread()
    except Exception as error:
        if asks_debug(words):
            traceback.print_exception(error)
        status, line = _ending(error, words)
        _say(f"{program}: error: {with_addresses(line)}")
        return status


def asks_debug(words: Sequence[str] | None = None) -> bool:
    """Whether the words of a command line, those of this process by default, ask for tracebacks."""
    words = list(sys.argv[1:] if words is None else words)
    return DEBUG in words[: words.index("--") if "--" in words else None]


@contextmanager
def terminating() -> Iterator[None]:
    """Within it SIGTERM ends the process the orderly way, so that no temporary file is left.

    Outside the main thread, which alone may say what a signal does, nothing is changed.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _ending(error: Exception, words: Sequence[str]) -> tuple[int, str]:
    if isinstance(error, UnforeseenError):
        return UNFORESEEN, str(error)
    if line := memory_line(error):
        return USER_ERROR, line
    if is_foreseen(error):
        return USER_ERROR, _of_readable_length(" ".join(str(error).split())) or type(error).__name__
    return UNFORESEEN, unforeseen(error, words=words)


def _of_readable_length(line: str) -> str:
    """Return the line without its middle, where it is so long that what is quoted in it must be at fault.

    What is wrong stands at the beginning, what to type at the end.
    """
    too_long = len(line) > _MOST_CHARACTERS
    return f"{line[: _MOST_CHARACTERS * 2 // 3]} [...] {line[-_MOST_CHARACTERS // 4 :]}" if too_long else line


def _say(line: str) -> None:
    try:
        sys.stdout.flush()
        sys.stderr.write(line.translate(_OBEYED) + "\n")
        sys.stderr.flush()
    except OSError:  # nobody listens
        _unread()


def _unread() -> int:
    """Let what is still buffered go nowhere, or Python would complain of it at its own end."""
    with suppress(OSError, ValueError):  # a stream without a number, as tests have
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return UNREAD


def _show_whatever_is_written() -> None:
    """Names that a terminal's encoding lacks are written with backslashes: no work ends in an error about a letter."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
