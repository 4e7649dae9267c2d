"""Malformed inputs of every kind: each is one line that says what to mend, or is done; none a traceback, none a hang.

What no reader may take is refused. LUMOS_FAULTS_SEED is another campaign, LUMOS_FAULTS_INPUTS its length.
"""

import json
import os
from pathlib import Path
from random import Random

import pytest

from tests.faults import file_entries, option_kinds
from tests.faults.attempt import Kind, fault_of, faults_of
from tests.faults.file_entries import ENTRIES, FILE_KINDS
from tests.faults.folder_kinds import FOLDER_KINDS
from tests.faults.forked import ended
from tests.faults.option_kinds import OPTION_KINDS, PROGRAMS
from tests.faults.world import World

SEED = int(os.environ.get("LUMOS_FAULTS_SEED", "0"))
INPUTS = int(os.environ.get("LUMOS_FAULTS_INPUTS", "300"))
KINDS: tuple[Kind, ...] = (*FILE_KINDS, *FOLDER_KINDS, *OPTION_KINDS)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_malformed_is_said_in_one_line(world: World, tmp_path: Path, kind: Kind) -> None:
    rngs = [Random(f"{SEED}/{kind.__name__}/{number}") for number in range(-(-INPUTS // len(KINDS)))]
    faults = faults_of(kind, world, tmp_path, rngs)
    assert not faults, f"{len(faults)} of them:\n" + "\n\n".join(faults)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_calls_from_python_are_refused_in_one_line(world: World, tmp_path: Path) -> None:
    words = [str(world.folder), str(SEED), str(max(50, INPUTS // 4))]
    status, said = ended("tests.faults.python_calls", words, log=tmp_path / "log", patience_s=300)
    assert status == 0, said[-3000:]
    assert json.loads(said.splitlines()[-1]) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_commands_end_well_before_anything_is_damaged(world: World, tmp_path: Path) -> None:
    """Otherwise a refusal would prove nothing."""
    attempts = {f"file {name}": lambda folder, e=entry: file_entries.as_it_should_be(e, world, folder)
                for name, entry in ENTRIES.items() if entry.done}  # fmt: skip
    attempts |= {name: lambda folder, n=name: option_kinds.as_it_should_be(n, world, folder) for name in PROGRAMS}
    for number, (name, make) in enumerate(attempts.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        attempt = make(folder)
        status, said = ended(attempt.module, attempt.words, log=folder / "log", patience_s=60)
        incomplete = name in ("check", "report", "file geneval results")
        assert status == (1 if incomplete else 0), f"{name}: {said}"


def test_a_hang_a_traceback_and_a_second_line_are_faults() -> None:
    assert fault_of(None, "") == "it hangs"
    assert fault_of(2, "Traceback (most recent call last):\nlumos: error: x") == "a traceback"
    assert fault_of(70, "lumos: error: x") == "status 70"
    assert fault_of(2, "a: error: x\na: error: y") == "2 lines of errors"
    assert fault_of(2, "a: error: x\nmore") == "more after the error"
    assert fault_of(2, "lumos: error: " + "x" * 2000) == "an error of 2014 characters"
    assert fault_of(0, "", broken=True) == "taken silently"
    assert fault_of(2, "lumos: error: x") is fault_of(0, "") is fault_of(1, "nothing kept", broken=True) is None
