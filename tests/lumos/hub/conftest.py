"""The server that downloads are tested with; between two tries nobody waits."""

import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.lumos.hub.hub_server import Hub, serving


@pytest.fixture
def server() -> Iterator[Hub]:
    with serving() as hub:
        yield hub


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("connection", "transfer"):
        quick = SimpleNamespace(sleep=lambda seconds: None, monotonic=time.monotonic)
        monkeypatch.setattr(f"lumos.hub.{module}.time", quick)
