"""Training from a config: `python -m lumos.train --config configs/train/debug.yaml trainer.max_steps=100`.

The config's key `model` says which of the two models is trained; each has settings of its own.
"""

import argparse
import sys
from collections.abc import Sequence

from lumos.cli.training.data_check import check_data
from lumos.cli.training.flags.released_flags import translated
from lumos.cli.training.run_config import load_run
from xllmx.ranks.launched import launched_local_rank
from xllmx.run.exit_status import USER_ERROR, status_of
from xllmx.run.interrupt import loading
from xllmx.run.option_parser import OptionParser


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`): 0, 2 after one line, or 128 and the number of a signal."""

    def train() -> int:
        try:
            parser = _parser()
            words = translated(
                sys.argv[1:] if arguments is None else arguments, own=list(parser._option_string_actions)
            )
            options = parser.parse_args(words.words)
            words.say()
            config = load_run(options.config, options.overrides)
            check_data(config)
            with loading("lumos.train"):
                from lumos.cli.training import training_run

            stopped = training_run.run(config, config_file=options.config).stopped
        except (ValueError, OSError):
            if launched_local_rank():  # once a machine: the file may be missing on one of them alone
                return USER_ERROR
            raise
        if stopped:
            return training_run.stopped_status(stopped)
        training_run.say_done(config)
        return 0

    return status_of("lumos.train", train, words=arguments)


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="lumos.train", description=__doc__)
    parser.add_argument("--config", help="YAML file with the settings of a run")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that win over the file's")
    where = "lumos/lumos1/README.md, section 13; of Lumina-Video lumos/lumina_video/README.md, section 6"
    parser.add_argument_group("and the flags of the released scripts", where)
    return parser
