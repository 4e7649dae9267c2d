"""What is wrong with a command line, in one line: an option, or a setting under the name of the option given."""

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from xllmx.setting import SettingError

_OPTIONS = {"num_inference_steps": "--steps"}
"""Setting -> its option, where the two differ by more than hyphens."""


class OptionParser(argparse.ArgumentParser):
    """A parser whose complaints are one line, a `ValueError`."""

    def error(self, message: str) -> NoReturn:
        """Raises `ValueError` with the message and where to read on."""
        raise ValueError(f"{message}; see {self.prog} --help")


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
