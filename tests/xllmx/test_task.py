"""What a task says of its samples for those who generate is kept in every checkpoint, and asked for before a step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from toy_task import ToyTask

from xllmx.checkpoints.folder import read_record
from xllmx.optimisation.optim import OptimConfig
from xllmx.task import GENERATION
from xllmx.trainer import Trainer, TrainerConfig

SAID = {"width": 64, "num_frames": 9}


class Generative(ToyTask):
    """Says what its samples are, once its data can be read."""

    readable = True

    def generation_defaults(self, streams: Mapping[str, Any]) -> dict[str, Any]:
        if not self.readable:
            raise ValueError("the first clip cannot be read")
        return SAID


def trainer_of(run_dir: Path, task: ToyTask) -> Trainer:
    config = TrainerConfig(run_dir=run_dir, max_steps=2, save_every=1, device="cpu", precision="fp32", progress=False)
    return Trainer(task, config, OptimConfig(lr=1e-2))


def test_what_a_task_says_of_its_samples_is_in_every_checkpoint(tmp_path: Path) -> None:
    for name, task, expected in (("one", Generative(), SAID), ("other", ToyTask(), {})):
        trainer_of(tmp_path / name, task).fit()
        checkpoints = sorted((tmp_path / name / "checkpoints").glob("step-*"))
        assert [read_record(one)[GENERATION] for one in checkpoints] == [expected, expected]


def test_data_of_which_nothing_can_be_said_end_a_training_before_its_first_step(tmp_path: Path) -> None:
    task = Generative()
    task.readable = False
    trainer = trainer_of(tmp_path / "run", task)
    with pytest.raises(ValueError, match="the first clip cannot be read"):
        trainer.fit()
    assert trainer.step == 0
