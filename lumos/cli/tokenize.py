"""`lumos tokenize`: a CSV of clips to shards, by `python -m pre_tokenize`."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def add_command(commands: Any) -> None:
    """Add the command to those of `lumos`; its options are those of `pre_tokenize`."""
    commands.add_parser("tokenize", help="a CSV of clips to shards (python -m pre_tokenize)", add_help=False)


def run(words: Sequence[str]) -> int:
    """Hand the words to `python -m pre_tokenize`, which is part of a checkout and not of the installed package."""
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / "pre_tokenize" / "__main__.py").is_file():
        raise ValueError("pre_tokenize is not installed with lumos; clone the repository and install it with pip -e")
    path = os.pathsep.join(filter(None, [str(checkout), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "pre_tokenize", *words]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False).returncode
