"""A run that stops at a loss which is not finite says which checkpoint it can go on from."""

from pathlib import Path
from typing import Any

import pytest
from test_trainer import STREAMS, trainer_of
from toy_task import ToyTask


@pytest.mark.parametrize("begins_from_another", [False, True])
def test_before_its_first_checkpoint_a_run_names_none(tmp_path: Path, begins_from_another: bool) -> None:
    start: dict[str, Any] = {}
    if begins_from_another:
        trainer_of(tmp_path / "other", max_steps=3).fit()
        start = {"resume_path": tmp_path / "other"}
    trainer = trainer_of(tmp_path / "run", task=ToyTask(streams=STREAMS, bad_step=1), save_every=0, **start)
    bad_step = 4 if begins_from_another else 1
    said = rf"not finite at step {bad_step} .*; this run has no checkpoint yet: lower optim.lr or .*, and start again$"
    with pytest.raises(ValueError, match=said):
        trainer.fit()


def test_the_checkpoint_that_is_being_written_is_the_one_it_names(tmp_path: Path) -> None:
    task = ToyTask(streams=STREAMS, bad_step=3)
    trainer = trainer_of(tmp_path, task=task, save_every=2, async_save=True)
    with pytest.raises(
        ValueError, match=r"not finite at step 3 .*the last checkpoint, of step 2, is kept: .* to resume$"
    ):
        trainer.fit()
    assert [path.name for path in trainer.checkpoints.valid()] == ["step-00000002"]
