"""The parser of every program: options are written out in full, and what is wrong with them is one line."""

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from xllmx.run.exit_status import DEBUG

STATUSES = (
    "Exit status: 0 done, 1 a check failed, 2 a mistake (one line says which), 70 an error that was not foreseen (one "
    "line, with the path of a report), 130 Ctrl-C, 141 nobody reads the output, 143 SIGTERM."
)
"""Last lines of every --help."""

NEAR = 0.75
"""Least likeness of two spellings (difflib's) at which one is taken for a slip of the other: one or two letters."""


class OptionParser(argparse.ArgumentParser):
    """A parser whose complaints are one line, a `ValueError`; options are written out, with hyphens or underscores.

    --num-frames and --num_frames are the same, however it was added. Every parser has --debug
    (`xllmx.run.exit_status`). Of an unknown option or command the one that was probably meant is said; `bare_words` is
    the option that words without one were probably meant for.
    """

    def __init__(self, *args: Any, bare_words: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, "epilog": STATUSES, **kwargs})
        self.bare_words = bare_words
        self.add_argument(DEBUG, action="store_true", help="show the traceback of an error")

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:  # type: ignore[override]
        """Return what argparse makes of the words, their options in the spelling they were added with."""
        words = list(sys.argv[1:] if args is None else args)
        end = words.index("--") if "--" in words else len(words)
        return super().parse_known_args([*map(self._spelt, words[:end]), *words[end:]], namespace)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Return what the words say; a word that nothing takes is an error of the command that it was given to."""
        words = list(sys.argv[1:] if args is None else args)
        options, rest = self.parse_known_args(words, namespace)
        if rest:
            command = self._command_of(words)
            command.error(f"unrecognized arguments: {' '.join(rest)}{command._meant(rest[0])}")
        return options

    def error(self, message: str) -> NoReturn:
        """Raises `ValueError` with the message and where to read on."""
        raise ValueError(f"{message}{'' if message.endswith('?') else ';'} see {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as wrong:
            near = difflib.get_close_matches(str(value), map(str, action.choices or ()), n=1)
            wrong.message += f"; did you mean {near[0]}?" if near else ""
            raise

    def _command_of(self, words: Sequence[str]) -> "OptionParser":
        """The parser of the command among these words, or this one."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                named = next((word for word in words if word in action.choices), None)
                return action.choices[named]._command_of(words) if named else self
        return self

    def _meant(self, word: str) -> str:
        """What an unknown word was probably meant to be, as the end of an error."""
        if not word.startswith("-"):
            return f"; did you mean {self.bare_words} {word!r}?" if self.bare_words else ""
        known = {_bare(option): option for option in self._option_string_actions}
        near = difflib.get_close_matches(_bare(word.partition("=")[0]), known, n=1, cutoff=NEAR)
        return f"; did you mean {known[near[0]]}?" if near else ""

    def _spelt(self, word: str) -> str:
        if not word.startswith("--"):
            return word
        name, equals, value = word.partition("=")
        if value == "--":  # argparse would take it for the end of the options, and the value for an empty list
            self.error(f"argument {name}: it is '--', which is no value")
        same = (option for option in self._option_string_actions if option.replace("_", "-") == name.replace("_", "-"))
        return f"{next(same, name)}{equals}{value}"


def _bare(option: str) -> str:
    """An option without the hyphens in front, which make any two alike."""
    return option.lstrip("-").replace("_", "-")
