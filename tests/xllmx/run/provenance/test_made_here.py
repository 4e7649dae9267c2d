"""A run is its user's own where its config is the very file that was written there."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from xllmx.run.provenance.made_here import is_made_here, state_of


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text("a: 1")
    (folder / "environment.json").write_text(json.dumps({"config_file": state_of(folder / "config.yaml")}))
    return folder


def is_own(run: Path) -> bool:
    return is_made_here(run / "config.yaml", environment=run / "environment.json")


def test_a_run_stays_ones_own_when_its_folder_gets_another_name(run: Path) -> None:
    assert is_own(run)
    assert is_own(run.rename(run.with_name("renamed")))


def _linked(run: Path) -> None:
    shutil.move(run / "config.yaml", run / "other.yaml")
    (run / "config.yaml").symlink_to("other.yaml")


@pytest.mark.parametrize(
    "change",
    [
        lambda run: shutil.copy2(shutil.move(run / "config.yaml", run / "other.yaml"), run / "config.yaml"),
        _linked,
        lambda run: (run / "environment.json").write_text("{}"),
        lambda run: (run / "environment.json").write_text("{"),
        lambda run: (run / "environment.json").unlink(),
        lambda run: (run / "config.yaml").unlink(),
    ],
)
def test_another_file_in_its_place_is_not(run: Path, change: Callable[[Path], object]) -> None:
    change(run)
    assert not is_own(run)


def test_nor_is_a_run_of_another_user(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: -1)
    assert not is_own(run)
