"""What the server writes down: one entry a line, whatever a prompt or an error of a model holds."""

import logging
import warnings
from typing import Any

_MORE = "\n    "
"""Begins the further lines of an entry, as of a traceback, so that none of them can pass for an entry."""


class Entry(logging.Formatter):
    """A formatter that lets no text end its entry or speak to the terminal."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry; control characters are written out."""
        return _MORE.join(_visible(line) for line in super().format(record).split("\n"))


def settings() -> dict[str, Any]:
    """Return how uvicorn and this wing log, for `logging.config.dictConfig`: warnings, to stderr."""
    wanted = {"handlers": ["stderr"], "level": "WARNING", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"entry": {"()": Entry}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "entry", "stream": "ext://sys.stderr"}},
        "loggers": {"uvicorn": wanted, "lumos.serve": wanted, "PIL": {"level": "CRITICAL"}},
    }


def let_be_what_pictures_hold() -> None:
    """Have Pillow's warnings not be shown: of a picture with a thousand bad tags it gives one for each.

    Whoever sent it is told where it cannot be read.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")


def _visible(line: str) -> str:
    return "".join(one if one.isprintable() or one == "\t" else one.encode("unicode_escape").decode() for one in line)
