"""What the campaigns share: the valid inputs, made once a process."""

import pytest

from tests.faults.world import World, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Valid inputs of all kinds."""
    return make_world(tmp_path_factory.mktemp("world"))
