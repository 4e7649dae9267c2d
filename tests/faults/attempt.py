"""A command given something malformed, and what is wrong with how it ended."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.faults.forked import ended
from tests.faults.world import World

PATIENCE_S = 60.0
"""On a busy machine; idle, the slowest takes some seconds."""
STATUSES = (0, 1, 2)
"""Done, a check failed, the user can mend it. 70 would be something nobody foresaw."""
MOST_CHARACTERS = 600
"""Of what is said about a mistake, paths of the test's own folder apart."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A command line with something malformed behind it."""

    module: str
    """What `python -m` starts."""
    words: list[str]
    """Its command line."""
    broken: bool = False
    """Whether it must not end in success."""
    what: str = ""
    """What is malformed."""


Kind = Callable[[World, Path, Random], Attempt]
"""Copies what it needs into a folder, does damage to it, and says what is to be run."""


def fault_of(status: int | None, said: str, *, broken: bool = False, folder: str = "") -> str | None:
    """Return what is wrong with how a command ended, or None; `folder` does not count in the length of its error."""
    errors = [line for line in said.splitlines() if re.search(r"\berror: ", line)]
    if status is None:
        return "it hangs"
    if "Traceback" in said:
        return "a traceback"
    if status not in STATUSES:
        return f"status {status}"
    if status == 2 and len(errors) != 1:
        return f"{len(errors)} lines of errors"
    if status == 2 and errors[0] != said.rstrip("\n").rpartition("\n")[2]:
        return "more after the error"
    if errors and (length := len(errors[-1].replace(folder or "\0", ""))) > MOST_CHARACTERS:
        return f"an error of {length} characters"
    if broken and status == 0:
        return "taken silently"
    return None


def faults_of(kind: Kind, world: World, folder: Path, rngs: list[Random]) -> list[str]:
    """Try a kind of damage several times; return the faults found, whose folders stay.

    `said.tsv` in the folder lists every attempt: what was malformed, the status, the last line.
    """
    faults = []
    for number, rng in enumerate(rngs):
        place = folder / str(number)
        place.mkdir()
        attempt = kind(world, place, rng)
        status, said = ended(attempt.module, attempt.words, log=place / "log", patience_s=PATIENCE_S)
        last = said.rstrip("\n").rpartition("\n")[2].replace(str(place), ".")
        with (folder / "said.tsv").open("a", encoding="utf-8") as list_of_all:
            list_of_all.write(f"{attempt.what!r}\t{status}\t{last}\n")
        if fault := fault_of(status, said, broken=attempt.broken, folder=str(place)):
            words = " ".join(attempt.words)
            faults.append(f"{fault}: {attempt.what}: {attempt.module} {words:.3000}\n{said[-3000:]}")
        else:
            shutil.rmtree(place)
    return faults
