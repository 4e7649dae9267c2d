"""`lumos doctor`: what can be checked of machine and model before a run."""

import argparse
from typing import Any

from lumos.cli.options.spelling import add_ckpts
from lumos.hub.models import DEFAULT_MODEL
from xllmx.run.exit_status import CHECK_FAILED
from xllmx.run.interrupt import loading


def add_command(commands: Any) -> None:
    """Add the command to those of `lumos`."""
    command = commands.add_parser("doctor", help="check machine and model before a run")
    command.add_argument(
        "--model", "--ckpt", metavar="NAME", help=f"name, hub id, folder or s3:// address (default {DEFAULT_MODEL})"
    )
    command.set_defaults(run=run)
    add_ckpts(command)


def run(options: argparse.Namespace) -> int:
    """Print the checks; 1 if one failed."""
    with loading("lumos"):
        from lumos.cli.checks import examine

    passed = True
    for check in examine(options.model or DEFAULT_MODEL, options.ckpts):
        print(check, flush=True)
        passed &= check.passed
    return 0 if passed else CHECK_FAILED
