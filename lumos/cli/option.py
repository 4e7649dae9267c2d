"""Options of a command line: both spellings of each; what is wrong, in one line, under the name of the option given."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from xllmx.setting import SettingError

_OPTIONS = {"num_inference_steps": "--steps"}
"""Setting -> its option, where the two differ by more than hyphens."""


class OptionParser(argparse.ArgumentParser):
    """A parser whose complaints are one line, a `ValueError`; options are written out, with hyphens or underscores.

    `separator` is what stands between the words of its own options: --num-frames takes --num_frames too.
    """

    def __init__(self, *args: Any, separator: str = "-", **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})
        self._separator = separator

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
        name, equals, value = word.removeprefix("--").partition("=")
        return f"--{name.replace('-', self._separator).replace('_', self._separator)}{equals}{value}"


def add_ckpts(command: argparse.ArgumentParser) -> None:
    """Add --ckpts, which commands that name a model have."""
    command.add_argument("--ckpts", type=Path, help="the folder of checkpoints (default: ckpts/ of the checkout)")


@contextmanager
def said_as_options(options: Mapping[str, Any], *, separator: str = "-") -> Iterator[None]:
    """Within it a setting at fault that is among the options given (not None) is said by the option's name.

    "--steps is 0; it must be a whole number of at least 1". A setting of the model's own keeps its name. `separator`
    stands between the words of an option. A default that is not None counts as given.
    """
    try:
        yield
    except SettingError as error:
        if options.get(error.name) is None:
            raise
        option = _OPTIONS.get(error.name, f"--{error.name.replace('_', separator)}")
        raise ValueError(f"{option} {error.fault}") from error
