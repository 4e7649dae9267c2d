"""With another number of processes a run keeps its global batch, or says which numbers could."""

from pathlib import Path
from typing import Any

import pytest
from launched_ranks import TRAINER
from toy_task import ToyTask

from xllmx.checkpoints.folder import publish
from xllmx.optimisation.optim import OptimConfig
from xllmx.run.global_batch import kept, recorded
from xllmx.trainer import Trainer
from xllmx.trainer_config import TrainerConfig


def config_of(**settings: Any) -> TrainerConfig:
    return TrainerConfig(run_dir=Path("run"), max_steps=9, **settings)


def checkpoint_of(folder: Path, config: TrainerConfig, sizes: dict[str, int]) -> Path:
    (folder / "new").mkdir()
    publish(folder / "new", folder / "step-00000004", {"step": 4, "ranks": 3, **recorded(config, sizes)})
    return folder / "step-00000004"


def test_fewer_processes_take_more_and_if_need_be_smaller_batches(tmp_path: Path) -> None:
    config = config_of(batch_size={"image": 6, "video": 1})
    before = checkpoint_of(tmp_path, config, {"image": 18, "video": 3})
    for ranks, sizes in ((1, {"image": 6, "video": 1}), (3, {"image": 6, "video": 1})):
        goes_on, _ = kept(config, before, {"image": 6 * ranks, "video": ranks}, num_ranks=ranks)
        assert (goes_on.batch_size, goes_on.accumulation(ranks)) == (sizes, 3 // ranks)
    alone = config_of(batch_size={"image": 4}, grad_accumulation=2)
    (tmp_path / "b").mkdir()
    before = checkpoint_of(tmp_path / "b", alone, {"image": 24})
    goes_on, said = kept(alone, before, {"image": 16}, num_ranks=2)
    assert (goes_on.batch_size, goes_on.accumulation(2)) == ({"image": 4}, 3)
    assert said == "the global batch stays image 24, as in step-00000004 (of 3 processes): image 3 x 4 on each of 2"


def test_processes_that_do_not_divide_it_are_told_which_would(tmp_path: Path) -> None:
    config = config_of(batch_size={"image": 4})
    before = checkpoint_of(tmp_path, config, {"image": 12})
    with pytest.raises(
        ValueError, match=r"5 processes cannot share alike; start 1, 2, 3, 4, 6 processes, or set train"
    ):
        kept(config, before, {"image": 20}, num_ranks=5)


def test_settings_that_were_changed_count_as_they_are(tmp_path: Path) -> None:
    before = checkpoint_of(tmp_path, config_of(batch_size={"image": 4}), {"image": 12})
    for changed in ({"batch_size": {"image": 5}}, {"batch_size": {"image": 4}, "grad_accumulation": 3}):
        assert kept(config_of(**changed), before, {"image": 10}, num_ranks=2) == (config_of(**changed), "")


@pytest.mark.parametrize(
    ("given", "ranks", "batch_size"),
    [
        ({"batch_size": {"a": 4}, "global_batch_size": {"a": 12}}, 2, {"a": 3}),
        ({"batch_size": {"a": 4}, "global_batch_size": {"a": 12}}, 3, {"a": 4}),
        ({"batch_size": {"a": 4, "b": 2}, "global_batch_size": {"a": 24, "b": 6}}, 2, {"a": 4, "b": 1}),
        ({"batch_size": {"a": 4}, "global_batch_size": {"a": 12}}, 5, {"a": 4}),
        ({"batch_size": {"a": 4}, "grad_accumulation": 2}, 5, {"a": 4}),
    ],
)
def test_batches_are_as_large_as_fills_the_global_one(given: Any, ranks: int, batch_size: dict[str, int]) -> None:
    assert config_of(**given).fitted(ranks).batch_size == batch_size


def test_a_checkpoint_records_the_batches_its_steps_had(tmp_path: Path) -> None:
    settings = {**TRAINER, "max_steps": 1, "grad_accumulation": 3}
    trainer = Trainer(ToyTask(), TrainerConfig(run_dir=tmp_path / "run", **settings), OptimConfig())
    trainer.fit()
    (checkpoint,) = trainer.checkpoints.valid()
    again, said = kept(trainer.config, checkpoint, {"image": 12}, num_ranks=2)
    assert (again.accumulation(2), again.batch_size, said[:31]) == (
        3,
        {"image": 1},
        "the global batch stays image 6,",
    )
