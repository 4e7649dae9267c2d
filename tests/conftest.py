"""What every test shares: torch on one thread, the same examples in every run, and where optional files are."""

import os
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("LUMOS_PYTHON", sys.executable)  # the shell scripts install nothing (exps/env.sh)
torch.set_num_threads(1)
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")

REPO = Path(__file__).resolve().parent.parent
GOLDEN = REPO / "tests" / "golden"


@pytest.fixture(scope="session")
def repo() -> Path:
    return REPO


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of numbers computed with the released system (see tests/golden/README.md)."""
    return GOLDEN


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real files of the public releases; a test that needs them skips where they are absent."""
    folder = REPO.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the optional folder ../shared/data (files of the public releases) is not here")
    return folder


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
