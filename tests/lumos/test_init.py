"""Threads that wait for each other do not spin for long, unless the user says so."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("given", "found"), [
    ({}, "10000"),
    ({"GOMP_SPINCOUNT": "7"}, "7"),
    ({"OMP_WAIT_POLICY": "active"}, "None"),
])  # fmt: skip
def test_threads_wait_as_the_user_says_or_briefly(given: dict[str, str], found: str) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = "import os, lumos; print(os.environ.get('GOMP_SPINCOUNT'))"
    assert subprocess.check_output([sys.executable, "-c", command], env=kept | given, text=True).strip() == found
