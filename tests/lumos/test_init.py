"""The front door: public names that cost nothing until used; threads that do not spin for long, unless told to."""

import os
import subprocess
import sys

import pytest

import lumos


@pytest.mark.parametrize(("given", "found"), [
    ({}, "10000"),
    ({"GOMP_SPINCOUNT": "7"}, "7"),
    ({"OMP_WAIT_POLICY": "active"}, "None"),
])  # fmt: skip
def test_threads_wait_as_the_user_says_or_briefly(given: dict[str, str], found: str) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = "import os, lumos; print(os.environ.get('GOMP_SPINCOUNT'))"
    assert subprocess.check_output([sys.executable, "-c", command], env=kept | given, text=True).strip() == found


def test_the_front_door_costs_nothing_until_used() -> None:
    code = "import sys, lumos; assert 'torch' not in sys.modules; from lumos import LumosPipeline; print(LumosPipeline)"
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said.strip() == "<class 'lumos.lumos1.pipeline.LumosPipeline'>"


def test_every_public_name_is_there() -> None:
    assert set(lumos.__all__) <= set(dir(lumos))
    assert all(getattr(lumos, name).__name__ == name for name in lumos.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Lumoss'"):
        lumos.Lumoss  # noqa: B018
