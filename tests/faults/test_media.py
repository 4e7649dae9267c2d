"""Media files damaged at random: read, or refused with one line that names them; in bounded time and memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SEED, COUNT = 16, 300
MOST_BYTES = 2 << 30


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_but_a_media_error_comes_out_of_damaged_files(tmp_path: Path, repo: Path) -> None:
    """In a process of its own: a decoder that crashed or took all memory would take the tests with it."""
    command = [sys.executable, "-m", "tests.faults.media_fuzz", str(tmp_path), str(SEED), str(COUNT)]
    environment = {**os.environ, "PYTHONPATH": str(repo), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=repo, env=environment, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["faults"] == []
    assert found["read"] + found["refused"] >= COUNT
    assert min(found["read"], found["refused"]) >= COUNT // 6  # damage that is felt, and damage that is not
    assert found["most_bytes"] - found["before_bytes"] < MOST_BYTES
