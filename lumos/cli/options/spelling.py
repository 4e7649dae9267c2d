"""Options of a command line: both spellings of each; what is wrong, in one line, under the name of the option given."""

import argparse
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xllmx.settings.setting import SettingError, shown

__all__ = ["add_ckpts", "option_of", "read_size", "said_as_options"]

_OPTIONS = {
    "num_inference_steps": "--steps", "num_gpus": "--gpus", "link_gb_s": "--link", "network_gb_s": "--network",
}  # fmt: skip
"""Setting -> its option, where the two differ by more than hyphens."""


_SIZE = re.compile(r"([0-9]{1,9})x([0-9]{1,9})", re.IGNORECASE)


def add_ckpts(command: argparse.ArgumentParser) -> None:
    """Add --ckpts, which commands that name a model have."""
    command.add_argument(
        "--ckpts", type=Path, help="the folder of checkpoints (default: ckpts/ of the checkout, or of this folder)"
    )


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
        raise ValueError(f"{option_of(error.name, separator=separator)} {error.fault}") from error


def option_of(setting: str, *, separator: str = "-") -> str:
    """The option that stands for a setting on a command line.

    >>> option_of("num_gpus"), option_of("guidance_scale")
    ('--gpus', '--guidance-scale')
    """
    return _OPTIONS.get(setting, f"--{setting.replace('_', separator)}")


def read_size(text: str, *, setting: str) -> tuple[int, int]:
    """Return (width, height) in pixels of `1248x704`, which stands for `setting`.

    Raises:
        SettingError: it is no size.
    """
    if (match := _SIZE.fullmatch(text)) is None:
        raise SettingError(setting, f"is {shown(text)}; write width x height in pixels, as in 1248x704")
    return int(match[1]), int(match[2])
