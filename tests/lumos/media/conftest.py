"""Numbers of the released system about frames and crops (tests/golden/data_utils.json)."""

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def released(golden: Path) -> dict:
    return json.loads((golden / "data_utils.json").read_text())
