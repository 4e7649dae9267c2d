"""The parser of every program: options are written out in full, and what is wrong with them is one line."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from xllmx.run.exit_status import DEBUG

STATUSES = (
    "Exit status: 0 done, 1 a check failed, 2 a mistake (one line says which), 70 an error that was not foreseen (one "
    "line, with the path of a report), 130 Ctrl-C, 141 nobody reads the output, 143 SIGTERM."
)
"""Last lines of every --help."""


class OptionParser(argparse.ArgumentParser):
    """A parser whose complaints are one line, a `ValueError`; options are written out, with hyphens or underscores.

    --num-frames and --num_frames are the same, however it was added. Every parser has --debug
    (`xllmx.run.exit_status`).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, "epilog": STATUSES, **kwargs})
        self.add_argument(DEBUG, action="store_true", help="show the traceback of an error")

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:  # type: ignore[override]
        """Return what argparse makes of the words, their options in the spelling they were added with."""
        words = list(sys.argv[1:] if args is None else args)
        end = words.index("--") if "--" in words else len(words)
        return super().parse_known_args([*map(self._spelt, words[:end]), *words[end:]], namespace)

    def error(self, message: str) -> NoReturn:
        """Raises `ValueError` with the message and where to read on."""
        raise ValueError(f"{message}; see {self.prog} --help")

    def _spelt(self, word: str) -> str:
        if not word.startswith("--"):
            return word
        name, equals, value = word.partition("=")
        if value == "--":  # argparse would take it for the end of the options, and the value for an empty list
            self.error(f"argument {name}: it is '--', which is no value")
        same = (option for option in self._option_string_actions if option.replace("_", "-") == name.replace("_", "-"))
        return f"{next(same, name)}{equals}{value}"
