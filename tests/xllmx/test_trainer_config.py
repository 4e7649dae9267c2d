"""Settings of a run that say where it begins and how its batches are made."""

from pathlib import Path
from typing import Any

import pytest
import torch
from toy_task import ToyTask

from xllmx.optimisation.optim import OptimConfig
from xllmx.trainer import Trainer, TrainerConfig


def trainer_of(run_dir: Path, **settings: Any) -> Trainer:
    base = {"run_dir": run_dir, "max_steps": 6, "batch_size": {"image": 3}, "device": "cpu", "precision": "fp32",
            "log_every": 1, "save_every": 0, "progress": False}  # fmt: skip
    return Trainer(ToyTask(dropout=0.2), TrainerConfig(**{**base, **settings}), OptimConfig(lr=1e-2))


def weights_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def test_a_run_begins_from_the_checkpoint_of_another_and_goes_on_from_its_own(tmp_path: Path) -> None:
    whole = trainer_of(tmp_path / "whole", max_steps=6)
    whole.fit()
    first = trainer_of(tmp_path / "first", max_steps=3)
    first.fit()
    for name, path in (("run", tmp_path / "first"), ("step", tmp_path / "first" / "checkpoints" / "step-00000003")):
        second = trainer_of(tmp_path / name, max_steps=6, resume_path=path)
        assert second.step == 3
        second.fit()
        for weight, expected in zip(weights_of(second).values(), weights_of(whole).values(), strict=True):
            assert weight.equal(expected)
    again = trainer_of(tmp_path / "run", max_steps=7, resume_path=tmp_path / "gone")
    assert again.step == 6


@pytest.mark.parametrize("path", ["gone", "empty"])
def test_a_path_without_a_checkpoint_is_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    with pytest.raises(
        ValueError, match=rf"trainer\.resume_path is {tmp_path / path}, which is no complete checkpoint"
    ):
        trainer_of(tmp_path / "run", resume_path=tmp_path / path)


def test_a_damaged_checkpoint_of_another_run_is_left_as_it_is(tmp_path: Path) -> None:
    first = trainer_of(tmp_path / "first", max_steps=1)
    first.fit()
    (checkpoint,) = first.checkpoints.valid()
    part = next(checkpoint.glob("*.distcp"))
    content = part.read_bytes()
    part.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"trainer\.resume_path: .* is damaged .*; give another"):
        trainer_of(tmp_path / "run", resume_path=checkpoint)
    assert checkpoint.is_dir()


def test_batches_are_of_one_length_unless_clustering_is_off(tmp_path: Path) -> None:
    spread = {}
    for clustered in (True, False):
        trainer = trainer_of(tmp_path / str(clustered), length_clustering=clustered)
        order = trainer.streams.orders["image"]
        lengths = [[order.lengths[index] for index in order.batch(number)] for number in range(9)]
        spread[clustered] = sum(max(batch) - min(batch) for batch in lengths)
    assert spread[True] < spread[False]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("runs/x", "it names a folder in a store, such as s3://bucket/run; on a disk they lie in trainer.run_dir"),
        ("hf://org/x", "trainer.checkpoints: hf://org/x: hf:// is only read here"),
        ("s3://me:hidden@bucket/x", "trainer.checkpoints: s3://... has a user name or keys in it; leave them out"),
    ],
)
def test_checkpoints_by_what_is_no_address_to_write_to_are_refused(place: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        TrainerConfig(run_dir=Path("run"), max_steps=1, checkpoints=place)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"max_steps": 5, "epochs": 100.0},
            "max_steps is 5 and trainer.epochs is 100.*one alone: .*trainer.epochs=null",
        ),
        ({}, "trainer.max_steps and trainer.epochs are both open; set one, for example trainer.max_steps=1000"),
    ],
)
def test_a_length_is_said_once(given: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainerConfig(run_dir=Path("run"), **given)
