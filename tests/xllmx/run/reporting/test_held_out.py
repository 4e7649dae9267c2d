"""Held-out losses: of the same batches and choices in every run."""

from pathlib import Path

import torch
from toy_task import ToyTask

from xllmx.run.reporting.held_out import HeldOut
from xllmx.trainer import Trainer, TrainerConfig


def _trainer(run_dir: Path, seed: int) -> Trainer:
    config = TrainerConfig(
        run_dir=run_dir, seed=seed, max_steps=2, batch_size={"image": 3}, eval_batches=2, device="cpu",
        precision="fp32", progress=False, eval_every=1,
    )  # fmt: skip
    return Trainer(ToyTask(streams=("image", "video"), dropout=0.2), config)


def test_held_out_losses_of_the_same_weights_are_the_same_whatever_the_seed_of_the_run(tmp_path: Path) -> None:
    first, second = (_trainer(tmp_path / str(seed), seed) for seed in (0, 7))
    second.model.load_state_dict(first.model.state_dict())
    assert first.evaluate() == second.evaluate()
    one, other = (
        HeldOut(trainer.task, trainer.config, device=torch.device("cpu")).streams for trainer in (first, second)
    )
    for name in ("image", "video"):
        assert one.orders[name].batch(0) == other.orders[name].batch(0)
        assert first.streams.orders[name].batch(0) != second.streams.orders[name].batch(0)
