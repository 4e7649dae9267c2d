"""`lumos train`: a training run from a config, or what it would take (`--dry-run`)."""

import argparse
from pathlib import Path
from typing import Any

from lumos.cli.interrupt import loading


def add_command(commands: Any) -> None:
    """Add the command to those of `lumos`."""
    about = "Train from a config. The flags of the released script are taken too (lumos/lumos1/README.md, section 13)."
    command = commands.add_parser("train", help="train from a config", description=about)
    command.add_argument("--config", type=Path, help="YAML file (configs/train/)")
    command.add_argument("overrides", nargs="*", metavar="key=value", help="settings that win over the file's")
    command.add_argument("--dry-run", action="store_true", help="say what it would take, and touch nothing")
    command.add_argument("--gpus", type=int, default=1, metavar="N", help="of the dry run (default 1)")
    command.add_argument("--size", metavar="WxH", help="of the dry run's clips, in pixels (default: those there are)")
    command.set_defaults(run=run)


OPTIONS = ("--config", "--dry-run", "--gpus", "--size", "--debug", "--help")
"""Of the command itself."""


def run(options: argparse.Namespace) -> int:
    """Train as config and overrides say, from the run's newest checkpoint on; or say what that would take."""
    if options.config is None and not any(word.startswith("trainer") for word in options.overrides):
        raise ValueError("say what to train: --config FILE, for example configs/train/quickstart.yaml")

    with loading("lumos"):
        from lumos.cli.training import training_run

    config = training_run.load_run(options.config, options.overrides)
    if options.dry_run:
        from lumos.cli.training.dry_run import read_size, report_run

        print(report_run(config, num_gpus=options.gpus, size=read_size(options.size)))
        return 0
    if stopped := training_run.run(config, config_file=options.config).stopped:
        return training_run.stopped_status(stopped)
    print(f"{config.trainer.run_dir}  (a model folder: lumos export {config.trainer.run_dir} FOLDER)")
    return 0
