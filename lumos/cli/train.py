"""`lumos train`: a training run from a config, what it would take (`--dry-run`), or all settings (`--keys`)."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from lumos.cli.options.machines import add_machines, machines_of, refuse_machines
from lumos.cli.options.spelling import read_size
from xllmx.run.interrupt import loading


def add_command(commands: Any) -> None:
    """Add the command to those of `lumos`."""
    about = (
        "Train from a config. The flags of the released scripts are taken too (lumos/lumos1/README.md, section 13; "
        "lumos/lumina_video/README.md, section 6)."
    )
    command = commands.add_parser("train", help="train from a config", description=about)
    command.add_argument("--config", type=Path, help="YAML file (configs/train/)")
    command.add_argument("overrides", nargs="*", metavar="key=value", help="settings that win over the file's")
    keys = "list the keys there are (those that hold WORD): type, default, meaning; model=lumina_video: its own"
    command.add_argument("--keys", nargs="?", const="", metavar="WORD", help=keys)
    dry = command.add_argument_group("what it would take, by arithmetic")
    dry.add_argument("--dry-run", action="store_true", help="say it, and touch nothing")
    dry.add_argument("--size", metavar="WxH", help="of the clips, in pixels (default: those there are)")
    dry.add_argument(
        "--clips", type=int, metavar="N", help="clips of data that is not there, for the length of an epoch"
    )
    add_machines(dry, network=True)
    command.set_defaults(run=run)


OPTIONS = (
    "--config", "--keys", "--dry-run", "--size", "--clips", "--gpu", "--gpus", "--utilisation", "--gpus-per-machine",
    "--link", "--network", "--debug", "--help",
)  # fmt: skip
"""Of the command itself."""


def run(options: argparse.Namespace) -> int:
    """Train as config and overrides say, from the run's newest checkpoint on; or say what that would take."""
    _refuse_of_dry_run(options)
    if options.keys is not None:
        return _keys(options)
    if options.config is None and not any(word.startswith("trainer") for word in options.overrides):
        raise ValueError("say what to train: --config FILE, for example configs/train/quickstart.yaml")

    with loading("lumos"):
        from lumos.cli.training.data_check import check_data
        from lumos.cli.training.run_config import load_run

    config = load_run(options.config, options.overrides)
    if options.dry_run:
        return _dry_run(options, config)
    check_data(config)
    with loading("lumos"):
        from lumos.cli.training import training_run  # takes many seconds, and mistakes are to answer at once

    if hint := training_run.unused_gpus(config, _own_words(options)):
        print(f"lumos: {hint}", file=sys.stderr)
    if stopped := training_run.run(config, config_file=options.config).stopped:
        return training_run.stopped_status(stopped)
    training_run.say_done(config)
    return 0


def _dry_run(options: argparse.Namespace, config: Any) -> int:
    """Print what the run would take."""
    from lumos.cli.training.data_check import check_streams, missing_data
    from xllmx.settings.number_range import COUNT, check_number

    if options.clips is not None:
        check_number("clips", int, options.clips, COUNT)
    check_streams(config)
    size = None if options.size is None else read_size(options.size, setting="size")
    if size is None:
        missing_data(config)  # for what is wrong with the others
    with loading("lumos"):
        from lumos.cli.training.estimate.dry_run import report_run

    print(report_run(config, machines=machines_of(options), size=size, num_clips=options.clips))
    return 0


def _keys(options: argparse.Namespace) -> int:
    """Print the settings that --keys asks for."""
    with loading("lumos"):
        from lumos.cli.training.config_file import check_config_file
        from lumos.cli.training.run_config import model_named
        from lumos.cli.training.setting_list import report_keys
        from lumos.hub.bundled import file_or_bundled

    if options.config is not None:
        check_config_file(file_or_bundled(options.config))
    if options.config is not None and not file_or_bundled(options.config).is_file():
        raise ValueError(f"there is no config {options.config}; leave --config out, or correct it")
    word, overrides = options.keys, list(options.overrides)
    if "=" in word:  # `--keys model=lumina_video` asks for all of that model
        word, overrides = "", [word, *overrides]
    words = [one for one in overrides if "=" not in one]
    if len(words) + bool(word) > 1:
        raise ValueError(f"--keys takes one word, and there are {', '.join(filter(None, [word, *words]))}; give one")
    print(report_keys(model_named(options.config, overrides), word or "".join(words)))
    return 0


def _refuse_of_dry_run(options: argparse.Namespace) -> None:
    """Check that nothing is given which only a dry run has.

    Raises:
        ValueError: something is.
    """
    refuse_machines(options)
    for name in ("size", "clips"):
        if getattr(options, name) is not None and not options.dry_run:
            raise ValueError(f"--{name} is of the --dry-run; leave it out, a run takes the data that is there")


def _own_words(options: argparse.Namespace) -> str:
    """Return the words of a training as a shell takes them."""
    config = [] if options.config is None else ["--config", str(options.config)]
    return shlex.join([*config, *options.overrides])
