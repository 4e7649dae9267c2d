"""The literal training step has the loss and the gradients of ours."""

import pytest
import torch

from benchmarks.lumos1.training import TrainingStep, literal_loss
from benchmarks.lumos1.work import Work

WORK = Work(width=48, num_layers=2, num_heads=4, num_kv_heads=2, inner=40, grid=(4, 8), num_prompt_ids=5)


@pytest.fixture
def step() -> TrainingStep:
    return TrainingStep(WORK, num_frames=3, device=torch.device("cpu"))


def test_literal_loss_and_gradients_are_those_of_training(step: TrainingStep) -> None:
    batch = step.prepared()
    losses = literal_loss(step.model, batch), step.task.loss(step.model, batch).sum
    torch.testing.assert_close(*losses, atol=0, rtol=1e-5)
    gradients = [torch.autograd.grad(loss, list(step.model.parameters())) for loss in losses]
    for (name, _), one, other in zip(step.model.named_parameters(), *gradients, strict=True):
        assert (one - other).norm() <= 1e-5 * one.norm(), name


def test_checkpointing_ends_with_its_step(step: TrainingStep) -> None:
    batch = step.prepared()
    step.run(batch, literal=False, precision="fp32", checkpointed=True)
    assert all("forward" not in vars(block) for block in step.model.model.layers)


@pytest.mark.slow
def test_every_path_trains(step: TrainingStep) -> None:
    batch = step.prepared()
    for name in ("literal fp32", "fast fp32", "fast bf16"):
        path = step.variant(name, batch)
        step.optimizer.param_groups[0]["lr"] = 3e-3
        first = path()
        assert path() < first, name


def test_literal_counts_all_pairs_and_all_logits(step: TrainingStep) -> None:
    batch = step.prepared()
    length = batch.inputs["input_ids"].shape[1]
    linear = 2 * length * (48 * (2 * 48 + 2 * 24) + 3 * 48 * 40)
    assert step.flops("literal fp32", batch) == 3 * (2 * (linear + 4 * 48 * length**2) + 2 * length * 48 * 129536)
    assert step.flops("fast fp32", batch) == batch.flops
