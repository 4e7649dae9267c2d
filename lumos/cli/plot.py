"""`lumos plot`: the losses of training runs, as a table or as curves."""

import argparse
from pathlib import Path
from typing import Any

from xllmx.run.interrupt import loading


def add_command(commands: Any) -> None:
    """Add the command to those of `lumos`."""
    command = commands.add_parser("plot", help="curves of training runs: losses, those of each frame, and the rest")
    command.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="the run's folder (trainer.run_dir)")
    command.add_argument("--out", type=Path, metavar="FILE", help=".png, .svg or .pdf; a table of losses if not given")
    spread = "runs that differ in their last number alone, that of the seed, as one curve with a band"
    command.add_argument("--spread", action="store_true", help=spread)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the losses of runs, or draw their curves."""
    with loading("lumos"):
        from xllmx.plot import check_picture, draw, read_curves, read_spread, table

    curves = read_spread(options.runs) if options.spread else read_curves(options.runs)
    if options.out is None:
        print(table(curves))
    else:
        check_picture(options.out, runs=options.runs)
        draw(curves, options.out)
        print(options.out)
    return 0
