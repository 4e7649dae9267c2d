"""The log of a run, in its folder: `log.txt`, and `log-rank3.txt` of another rank."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xllmx.ranks.distributed import rank

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def logging_to(folder: Path) -> Iterator[Path]:
    """Within this context all that is logged on this rank, from INFO on, is appended to the file that it yields.

    The file of a rank other than the first appears with its first line.
    """
    number = rank()
    path = folder / ("log.txt" if number == 0 else f"log-rank{number}.txt")
    folder.mkdir(parents=True, exist_ok=True)
    root = logging.getLogger()
    handler = logging.FileHandler(path, encoding="utf-8", delay=number != 0)
    handler.setFormatter(logging.Formatter(_FORMAT))
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


def _screen() -> logging.Handler:
    """Return a handler that shows warnings at the terminal, as Python does where no logging is set up."""
    screen = logging.StreamHandler()
    screen.setLevel(logging.WARNING)
    return screen
