"""What every test shares: torch on one thread, the same examples in every run, and where optional files are."""

import gc
import logging
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from xllmx.store.access import file_system
from xllmx.store.address import Address
from xllmx.store.local_copy import default_copies

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("LUMOS_PYTHON", sys.executable)  # the shell scripts install nothing (exps/env.sh)
torch.set_num_threads(1)
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")

REPO = Path(__file__).resolve().parent.parent
GOLDEN = REPO / "tests" / "golden"


def pytest_collection_finish() -> None:
    """What was imported lives to the end; a collection of garbage (0.2 s with it, in many tests) passes it over."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 of this process's own."""
    from moto.server import ThreadedMotoServer  # takes seconds to import

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Address:
    """A new bucket of it, to which the environment leads, and a cache of its own."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "known-key-id",
        "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests",
        "AWS_DEFAULT_REGION": "us-east-1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    default_copies.cache_clear()
    system = file_system("s3")
    system.clear_instance_cache()
    name = f"bucket-{secrets.token_hex(4)}"
    file_system("s3").mkdir(name)
    return Address("s3", name)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
