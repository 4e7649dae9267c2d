"""The programs of `eval/` and `pre_tokenize/`, no part of the package: run where they lie, from any folder."""

import importlib
import sys
from collections.abc import Sequence

from lumos.hub.bundled import bundled


def run_program(module: str, words: Sequence[str]) -> int:
    """The exit status of a program with a `main`, run in this process as `python -m` runs it in a checkout."""
    if str(bundled()) not in sys.path[:1]:  # first: people have folders called eval
        sys.path.insert(0, str(bundled()))
    return int(importlib.import_module(module).main(list(words)))
