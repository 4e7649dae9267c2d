"""The log of a run, in its folder: `log.txt`, and `log-rank3.txt` of another rank."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xllmx.disk.files import reason
from xllmx.ranks.distributed import rank
from xllmx.store.said import with_addresses

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def logging_to(folder: Path) -> Iterator[Path]:
    """Within this context all that is logged on this rank, from INFO on, is appended to the file that it yields.

    The file of a rank other than the first appears with its first line.
    """
    number = rank()
    path = folder / ("log.txt" if number == 0 else f"log-rank{number}.txt")
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        raise ValueError(f"{path} is a folder, a pipe or a device; the run writes its log there: remove it")
    root = logging.getLogger()
    handler = _LogFile(path, encoding="utf-8", delay=number != 0)
    handler.setFormatter(_Line(_FORMAT))
    handler.setLevel(logging.INFO)
    before, screen = root.level, _screen() if not root.handlers else None
    root.setLevel(min(before, logging.INFO) if before else logging.INFO)
    handlers = [handler, *([screen] if screen else [])]
    for one in handlers:
        root.addHandler(one)
    try:
        yield path
    finally:
        for one in handlers:
            root.removeHandler(one)
            one.close()
        root.setLevel(before)


class _Line(logging.Formatter):
    """A line that names what came from a store by its address."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return with_addresses(super().format(record))


class _LogFile(logging.FileHandler):
    """A file that may lack lines: a full disk is said once, and does not stop the run."""

    _said = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._said:
            self._said = True
            sys.stderr.write(f"cannot write {self.baseFilename}: {reason(error)}; lines are missing there\n")

    def close(self) -> None:
        with suppress(OSError):  # said before
            super().close()


def _screen() -> logging.Handler:
    """Return a handler that shows warnings at the terminal, as Python does where no logging is set up."""
    screen = logging.StreamHandler()
    screen.setLevel(logging.WARNING)
    screen.setFormatter(_Line())
    return screen
