"""The error of a setting outside its rule, which a command line repeats under the name of the option given."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_OPTIONS = {"num_inference_steps": "--steps"}
"""Setting -> its option, where the two differ by more than hyphens."""


class SettingError(ValueError):
    """Says `name fault`, for example "num_inference_steps is 0; it must be a whole number of at least 1"."""

    def __init__(self, name: str, fault: str) -> None:
        super().__init__(f"{name} {fault}")
        self.name, self.fault = name, fault


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
