"""A server of a stand-in, for the tests of this folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lumos.serve.standin import Server, StandIn, behind_client, parts


@pytest.fixture
def model() -> StandIn:
    return StandIn()


@pytest.fixture
def server(tmp_path: Path, model: StandIn) -> Iterator[Server]:
    with small_server(tmp_path / "data", model) as server:
        yield server


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for tests whose every request is refused, so that none leaves anything to the next."""
    with small_server(tmp_path_factory.mktemp("refusing") / "data", StandIn()) as server:
        yield server


@contextmanager
def small_server(data: Path, model: StandIn) -> Iterator[Server]:
    """A server with narrow bounds."""
    serving = parts(data, model, most_queued=3, most_upload_mib=1, most_frames=40, most_pixels=64 * 64)
    with behind_client(serving) as client:
        yield Server(client, serving, model)
        model.gate.set()
