"""The command of a training that ends with its metrics: a config, then settings that win over it."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.settings.config import load_config

_Config = TypeVar("_Config")


def training_status(
    program: str,
    config_class: type[_Config],
    run: Callable[[_Config, Path | None], dict[str, float]],
    arguments: Sequence[str] | None,
    *,
    description: str | None,
) -> int:
    """Return the exit status (`xllmx.run.exit_status`) of a training; its metrics are printed.

    Args:
        program: what `python -m` starts.
        config_class: of the settings.
        run: trains as they say, given them and the file they came from; returns metrics on held-out data.
        arguments: words of the command line; None: those of this process.
        description: for --help.
    """
    parser = OptionParser(prog=program, description=description)
    parser.add_argument("--config", type=Path, help=f"YAML file with settings of {config_class.__name__}")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that win over the file's")

    def train() -> int:
        options = parser.parse_args(arguments)
        metrics = run(load_config(config_class, options.config, options.overrides), options.config)
        sys.stdout.write(" ".join(f"{name}={value:.4g}" for name, value in metrics.items()) + "\n")
        return 0

    return status_of(program, train, words=arguments)
