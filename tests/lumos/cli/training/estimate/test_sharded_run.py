"""The optimiser of a run is said as what it is, with the state that the real one keeps."""

from pathlib import Path

import pytest
import torch

from lumos.cli.training.estimate.dry_run import estimate_run, report
from lumos.cli.training.estimate.lumina_dry_run import estimate_tasks
from lumos.cli.training.estimate.lumina_dry_run import report as lumina_report
from lumos.cli.training.training_run import AnyRun, LuminaVideoRunConfig, RunConfig, build_task, load_run
from tests.lumos.cli.training.estimate.test_dry_run import MODEL_WORDS, recipe
from tests.lumos.lumina_video.latents import run_config
from xllmx.optimisation.optim import build_optimizer


def optimizer_bytes(config: AnyRun) -> int:
    """What the optimiser of a training keeps after its first step, but for its counters of steps."""
    task = build_task(config)
    model = task.build_model()
    task.init_weights(model, device=torch.device("cpu"), seed=0)
    optimizer = build_optimizer(model, config.optim, units=task.shard_units(model))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
    optimizer.step()
    return sum(tensor.nbytes for state in optimizer.state.values() for name, tensor in state.items() if name != "step")


@pytest.mark.parametrize("words", [[], ["optim.name=muon"], ["optim.name=muon", "lora.rank=2"]])
def test_the_state_of_the_optimiser_is_that_of_the_real_one(repo: Path, tmp_path: Path, words: list[str]) -> None:
    lumos1 = recipe(repo, "1B_pretrain_image", *MODEL_WORDS, *words)
    lumina = load_run(run_config(tmp_path), words)
    assert isinstance(lumina, LuminaVideoRunConfig)
    run, tasks = estimate_run(lumos1), estimate_tasks(lumina)
    assert run.state.optimizer == optimizer_bytes(lumos1)
    assert tasks.state.optimizer == optimizer_bytes(lumina)
    assert (run.state.optimizer < 8 * run.trainable) == (tasks.state.optimizer < 8 * tasks.trainable) == bool(words)
    name = "Muon and AdamW, fp32 " if words else "AdamW, 2 x fp32 "
    for text in (report(run), lumina_report(tasks)):
        assert next(line for line in text.splitlines() if "AdamW" in line).startswith(name)


def test_muon_is_refused_on_as_many_gpus_as_training_refuses_it(repo: Path) -> None:
    config = recipe(repo, "1B_pretrain_image", *MODEL_WORDS, "optim.name=muon")
    with pytest.raises(ValueError, match=r"optim\.name is muon, which needs whole matrices of blocks; use"):
        estimate_run(config, num_gpus=2)
    whole: RunConfig = recipe(repo, "1B_pretrain_image", *MODEL_WORDS, "optim.name=muon", "parallel.sharding=none")
    assert estimate_run(whole, num_gpus=2).state.optimizer == estimate_run(config).state.optimizer
