"""The server that downloads are tested with; between two tries nobody waits."""

from collections.abc import Iterator

import pytest

from tests.lumos.hub.hub_server import Hub, serving


@pytest.fixture
def server() -> Iterator[Hub]:
    with serving() as hub:
        yield hub


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lumos.hub.transfer.time.sleep", lambda seconds: None)
