"""`lumos export`: the model folder of a training run generates."""

import shutil
from pathlib import Path

import pytest
import torch

from lumos.cli.training.exported_model import export_run
from lumos.cli.training.training_run import RunConfig
from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.training.task import LumosTaskConfig
from tests.lumos.cli.console import Lumos
from xllmx.checkpoints.checkpoint import CheckpointManager
from xllmx.settings.config import save_config
from xllmx.trainer import TrainerConfig


@pytest.mark.parametrize("averaged", [False, True])
def test_export_makes_a_model_of_the_newest_checkpoint_that_generates(
    lumos: Lumos, ckpts: Path, tmp_path: Path, averaged: bool
) -> None:
    model = LumosForCausalLM(LumosConfig.from_pretrained(ckpts / "lumos-tiny"))
    model.reset_parameters(generator=torch.Generator().manual_seed(5))
    weights = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    config = RunConfig(
        trainer=TrainerConfig(run_dir=tmp_path / "run", max_steps=3, batch_size={}, ema_decay=0.5 if averaged else 0.0),
        task=LumosTaskConfig(init_from=str(ckpts / "lumos-tiny")),
    )
    save_config(config, tmp_path / "run" / "config.yaml")
    halves = {name: tensor / 2 for name, tensor in weights.items()}
    for step, now in ((1, halves), (3, weights)):
        CheckpointManager(tmp_path / "run" / "checkpoints").save(step, {"model": now, "average": halves})
    assert lumos("export", "run", "model")[0] == 0
    exported = LumosForCausalLM.from_pretrained(tmp_path / "model").state_dict()
    wanted = halves if averaged else weights
    assert all(torch.equal(exported[name], wanted[name]) for name in wanted)
    assert lumos("generate", "--model", "./model", "--prompt", "a", "--num-frames", "5", "--out", "a.gif")[0] == 0
    status, _, error = lumos("export", "run", "model")
    assert status == 2
    assert "model is there already" in error
    assert "no config.yaml" in lumos("export", "nothing", "other")[2]


def test_the_bundled_model_that_a_run_started_from_is_not_replaced(
    ckpts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, and in an installation no folder of checkpoints holds it."""
    monkeypatch.setattr("lumos.hub.bundled._PACKAGE", tmp_path / "lumos")
    model = shutil.copytree(ckpts / "lumos-tiny", tmp_path / "lumos" / "bundled" / "ckpts" / "lumos-tiny")
    trainer = TrainerConfig(run_dir=tmp_path / "run", max_steps=1, batch_size={})
    save_config(RunConfig(trainer=trainer, task=LumosTaskConfig(init_from="lumos-tiny")), tmp_path / "run/config.yaml")
    with pytest.raises(ValueError, match="the model it started from"):
        export_run(tmp_path / "run", model, ckpts=tmp_path / "none", overwrite=True)
