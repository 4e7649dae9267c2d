"""A server of a stand-in, for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lumos.serve.standin import Server, StandIn, behind_client, parts


@pytest.fixture
def model() -> StandIn:
    return StandIn()


@pytest.fixture
def server(tmp_path: Path, model: StandIn) -> Iterator[Server]:
    serving = parts(tmp_path / "data", model, most_queued=3, most_upload_mib=1, most_frames=40, most_pixels=64 * 64)
    with behind_client(serving) as client:
        yield Server(client, serving, model)
        model.gate.set()
