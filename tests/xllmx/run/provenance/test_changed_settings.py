"""A run that goes on says which settings are others than those of its checkpoint, and nothing where none is."""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

import launched_ranks as ranks
import pytest

from xllmx.run.provenance.changed_settings import changed_settings
from xllmx.settings.config import to_plain


@dataclass(frozen=True, kw_only=True)
class _Inner:
    lr: float = 0.5
    sizes: tuple[int, ...] = (1, 2)


@dataclass(frozen=True, kw_only=True)
class _Run:
    run_dir: Path = Path("runs/a")
    inner: _Inner = field(default_factory=_Inner)
    data: dict[str, str] = field(default_factory=dict)
    late: int = 3


def checkpoint_of(folder: Path, config: object) -> Path:
    folder.mkdir()
    (folder / "checkpoint.json").write_text(json.dumps({"step": 2, "config": config}))
    return folder


def test_values_inside_groups_and_names_of_the_users_own_are_compared(tmp_path: Path) -> None:
    before = _Run(data={"image": "a.yaml", "video": "v.yaml"})
    now = _Run(run_dir=Path("elsewhere"), inner=_Inner(lr=0.25, sizes=(1, 3)), data={"image": "b.yaml", "more": "m"})
    assert changed_settings(checkpoint_of(tmp_path / "step", to_plain(before)), now) == [
        "inner.lr: 0.5 -> 0.25",
        "inner.sizes: [1, 2] -> [1, 3]",
        "data.image: 'a.yaml' -> 'b.yaml'",
        "data.video: 'v.yaml' -> not given",
        "data.more: not given -> 'm'",
    ]


def test_the_same_settings_and_those_of_later_versions_are_no_difference(tmp_path: Path) -> None:
    recorded = to_plain(_Run())
    del recorded["late"]
    assert changed_settings(checkpoint_of(tmp_path / "step", recorded), _Run(late=9)) == []
    assert changed_settings(checkpoint_of(tmp_path / "other", None), _Run()) == []


def test_a_resumed_training_logs_what_is_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    entry = {"run": tmp_path / "run", "trainer": {"max_steps": 1, "batch_size": {"image": 2}}}
    ranks.train(entry)
    with caplog.at_level(logging.INFO):
        ranks.train(entry)
        assert "other settings" not in caplog.text
        ranks.train({**entry, "trainer": {**entry["trainer"], "max_steps": 2, "clip_grad_norm": 1.0}})
    (line,) = [one.message for one in caplog.records if "other settings" in one.message]
    changes = "max_steps: 1 -> 2; clip_grad_norm: 4.0 -> 1.0"
    assert line == f"step-00000001 was written with other settings: {changes}"
