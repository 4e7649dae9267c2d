"""`lumos tokenize`: a CSV of clips to shards, by `python -m pre_tokenize`."""

from collections.abc import Sequence
from typing import Any

from lumos.cli.bundled_program import run_program


def add_command(commands: Any) -> None:
    """Add the command to those of `lumos`; its options are those of `pre_tokenize`."""
    commands.add_parser("tokenize", help="a CSV of clips to shards (python -m pre_tokenize)", add_help=False)


def run(words: Sequence[str]) -> int:
    """The exit status of `pre_tokenize` with these words."""
    return run_program("pre_tokenize.__main__", words)
