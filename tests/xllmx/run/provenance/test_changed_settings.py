"""A run that goes on says which settings are others than those of its checkpoint, and nothing where none is."""

import io
import json
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path

import launched_ranks as ranks
import pytest

from xllmx.run.provenance.changed_settings import changed_settings, of_steps
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
    (line,) = [one.message for one in caplog.records if "was written with" in one.message]
    changes = "max_steps: 1 -> 2; clip_grad_norm: 4.0 -> 1.0"
    assert line == f"step-00000001 was written with other settings: {changes}"


def test_what_makes_other_steps_is_told_from_what_does_not() -> None:
    steps = [
        "task.data.video: 'a' -> 'b'", "task.data.keep: not given -> 'b'", "trainer.seed: 0 -> 1", "seed: 0 -> 1",
        "trainer.batch_size.video: 2 -> 4", "optim.lr: 1.0 -> 2.0", "task.tasks.fine.data: 'a' -> 'b'",
    ]  # fmt: skip
    others = [
        "trainer.max_steps: 1 -> 2", "max_steps: 1 -> 2", "trainer.eval_batch_size.a: 1 -> 2", "samples.every: 0 -> 2",
        "parallel.compile: False -> True", "task.eval_data.video: 'a' -> 'b'", "trainer.keep: 1 -> 2",
        "trainer.num_workers: 0 -> 2", "task.tasks.fine.num_workers: 0 -> 2", "trainer.deterministic: False -> True",
        "task.attention: 'auto' -> 'sdpa'", "task.loss_chunk: None -> 64",
    ]  # fmt: skip
    assert of_steps([*others, *steps]) == steps


def test_changes_that_make_other_steps_are_said_on_the_terminal_in_one_line(tmp_path: Path) -> None:
    run = tmp_path / "run"

    def lines(**settings: object) -> list[str]:
        trainer = {"max_steps": 1, "batch_size": {"image": 2}, **settings}
        with pytest.MonkeyPatch.context() as patch, io.StringIO() as screen:
            patch.setattr(logging.getLogger(), "handlers", [])  # as where nobody collects what is logged
            patch.setattr(sys, "stderr", screen)
            ranks.train({"run": run, "trainer": trainer})
            return [line for line in screen.getvalue().splitlines() if "other settings" in line]

    assert lines() == []
    assert lines(max_steps=2, keep=3) == []
    assert lines(max_steps=3, seed=7, batch_size={"image": 3}) == [
        "the run goes on from step-00000002 with other settings than it had: seed: 0 -> 7; batch_size.image: 2 -> 3. "
        "If that is not meant, stop it, and give those it had or another trainer.run_dir"
    ]


def test_the_same_global_batch_put_together_otherwise_is_no_other_step(tmp_path: Path, caplog) -> None:
    trainer = {"max_steps": 1, "batch_size": {"image": 4}}
    ranks.train({"run": tmp_path / "run", "trainer": trainer})
    same: list[dict[str, object]] = [
        {"batch_size": {"image": 2}, "grad_accumulation": 2},
        {"batch_size": {"image": 2}, "global_batch_size": {"image": 4}},
        {"global_batch_size": {"image": 4}},
    ]
    for step, settings in enumerate(same, 2):
        ranks.train({"run": tmp_path / "run", "trainer": {"max_steps": step, **settings}})
    assert [one.message for one in caplog.records if "with other settings than" in one.message] == []
    ranks.train({"run": tmp_path / "run", "trainer": {"max_steps": 5, "global_batch_size": {"image": 3}}})
    (line,) = [one.message for one in caplog.records if "with other settings than" in one.message]
    assert "global_batch_size.image: 4 -> 3. If" in line


def test_settings_that_come_to_the_same_are_left_out() -> None:
    changes = ["task.tasks.a.micro_bsz: 2 -> 1", "task.tasks.b.micro_bsz: 2 -> 1", "trainer.grad_accumulation: 1 -> 2"]
    assert of_steps(changes, ["task.tasks.a.micro_bsz", "trainer.grad_accumulation"]) == changes[1:2]
