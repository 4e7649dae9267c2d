"""`lumos evaluate NAME ...`: the programs of `eval/`, from any folder, from a checkout or an installed wheel.

Each is the program of that name in `eval/`, which a checkout also runs by `python -m`, with the same words.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from lumos.cli.bundled_program import run_program
from lumos.hub.bundled import bundled
from xllmx.settings.setting import suggestion

PROGRAMS = {
    "shapes": ("eval.shapes.__main__", "the bundled world, read back from pixels: run, look, score, codec ..."),
    "custom": ("eval.custom.__main__", "outputs for a list of prompts of your own: t2i, t2v, i2v"),
    "geneval": ("eval.geneval.__main__", "the images of GenEval"),
    "vbench": ("eval.vbench.t2v", "the videos of VBench"),
    "vbench_i2v": ("eval.vbench.i2v", "the videos of VBench-I2V"),
    "prompts": ("eval.prompts.__main__", "bring the official prompt lists"),
    "check": ("eval.check.__main__", "whether a folder may be scored: geneval, vbench, vbench_i2v"),
    "report": ("eval.report.__main__", "one table from what an official scorer wrote"),
    "score": ("", "an official scorer over a folder: geneval, vbench, vbench_i2v (needs bash)"),
}
"""Name -> the module that is run, and what it does; scorers are scripts (`eval/scorers/`)."""

_ALIASES = {"vbench_t2v": "vbench"}
_SCORERS = ("geneval", "vbench", "vbench_i2v")


def add_command(commands: Any) -> None:
    """Add the command to those of `lumos`; the options are those of the program that is named."""
    listed = "\n".join(f"  {name:<12}{what}" for name, (_, what) in PROGRAMS.items())
    command = commands.add_parser(
        "evaluate",
        help="benchmarks, and the bundled world read back by rule",
        description=f"Run a program of the evaluation:\n{listed}",
        epilog="the options of one: lumos evaluate NAME --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("name", metavar="NAME", choices=(*PROGRAMS, *_ALIASES), help="one of these")
    command.add_argument("words", metavar="...", nargs="*", help="its own words")
    command.set_defaults(run=lambda options: run([options.name, *options.words]))


def run(words: Sequence[str]) -> int:
    """The exit status of the program that the first word names, with the other words."""
    name, rest = _ALIASES.get(words[0], words[0]), words[1:]
    if name not in PROGRAMS:
        raise ValueError(f"lumos evaluate {name}: there is no such program; {suggestion(name, PROGRAMS)}")
    return _score(rest) if name == "score" else run_program(PROGRAMS[name][0], rest)


def _score(words: Sequence[str]) -> int:
    """The exit status of a scorer, which makes an environment of its own."""
    if not words or words[0] not in _SCORERS:
        raise ValueError(f"lumos evaluate score: name a scorer, one of {', '.join(_SCORERS)}, then its folders")
    script = bundled() / "eval" / "scorers" / f"{words[0]}.sh"
    environment = {**os.environ, "LUMOS_PYTHON": sys.executable}
    try:
        return subprocess.run(["bash", str(script), *words[1:]], env=environment, check=False).returncode
    except FileNotFoundError as error:
        raise ValueError(f"the scorers are scripts for bash, which is not here: install it, or run {script}") from error
