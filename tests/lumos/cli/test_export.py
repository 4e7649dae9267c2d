"""`lumos export`: the model folder of a training run generates."""

import json
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
from xllmx.store.address import Address
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


@pytest.fixture
def run(ckpts: Path, tmp_path: Path, bucket: Address) -> Address:
    """A run at an address: what a training with trainer.checkpoints leaves there."""
    model = LumosForCausalLM(LumosConfig.from_pretrained(ckpts / "lumos-tiny"))
    model.reset_parameters(generator=torch.Generator().manual_seed(5))
    trainer = TrainerConfig(run_dir=tmp_path / "run", checkpoints=str(bucket / "run"), max_steps=3, batch_size={})
    config = RunConfig(trainer=trainer, task=LumosTaskConfig(init_from=str(ckpts / "lumos-tiny")))
    for place in (tmp_path / "run", bucket / "run"):
        save_config(config, place / "config.yaml")
    weights = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    CheckpointManager(tmp_path / "run/checkpoints", store=bucket / "run").save(3, {"model": weights})
    return bucket / "run"


def test_a_run_and_a_model_by_address_are_read_written_and_generated_with(
    lumos: Lumos, tmp_path: Path, run: Address, bucket: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bucket / "models/mine"
    assert lumos("export", str(run), str(model))[:2] == (0, f"{model}\n")
    status, _, error = lumos("export", "run", "here")  # the folder of that run, whose checkpoints are not in it
    assert (status, f"leads to trainer.checkpoints={run}, outside" in error) == (2, True)
    assert lumos("export", "run", "here", "--trust-run")[0] == 0
    there = {str(one.relative_to(model)): one.read_bytes() for one, _ in model.files()}
    here = {str(p.relative_to("here")): p.read_bytes() for p in Path("here").rglob("*") if p.is_file()}
    assert there == here
    status, _, error = lumos("export", str(run), str(model))
    assert (status, f"{model} is there already; choose another folder, or use --overwrite" in error) == (2, True)
    (model / "stale.bin").write_bytes(b"of before")
    assert lumos("export", str(run), str(model), "--overwrite")[0] == 0
    assert not (model / "stale.bin").exists()
    clip = ["--prompt", "a", "--num-frames", "5", "--seed", "3"]
    assert lumos("generate", "--model", str(model), *clip, "--out", "a.gif")[0] == 0
    assert lumos("generate", "--model", "./here", *clip, "--out", "b.gif")[0] == 0
    assert Path("a.gif").read_bytes() == Path("b.gif").read_bytes()
    assert json.loads(Path("a.gif.json").read_text())["model"] == str(model)
    assert lumos("generate", "--from-json", "a.gif.json", "--out", "d.gif")[0] == 2  # a record chooses no address
    assert lumos("generate", "--from-json", "a.gif.json", "--model", str(model), "--out", "d.gif")[0] == 0
    assert lumos("generate", "--model", f"file://{tmp_path}/here", *clip, "--out", "c.gif")[0] == 0


def test_what_an_address_lacks_is_said_in_one_line(lumos: Lumos, run: Address, bucket: Address) -> None:
    (bucket / "half/model.safetensors").write_bytes(b"weights")
    (bucket / "data/rows.parquet").write_bytes(b"rows")
    (bucket / "torn/config.json").write_bytes(b"{")
    (bucket / "bad/config.yaml").write_bytes(b"{")
    generate = ("generate", "--prompt", "a", "--out", "a.gif", "--model")
    for words, said in {
        (*generate, str(bucket / "none")): "none is no folder: nothing lies there; correct the address",
        (*generate, str(bucket / "half")): "half is not a folder of a model, a tokenizer or adapters: it has no config",
        (*generate, str(run)): f"is a training run, which is no model yet; make one of it: lumos export {run} FOLDER",
        (*generate, "s3://me:hidden@bucket/x"): "s3://... has a user name or keys in it; leave them out",
        (*generate, str(bucket / "torn")): f"lumos: error: {bucket}/torn/config.json is not valid JSON",
        ("export", str(bucket / "bad"), "m"): f"cannot read the settings of {bucket}/bad/config.yaml: {bucket}/bad/con",
        ("export", str(bucket / "none"), "m"): "none is no training run: it has no config.yaml",
        ("export", str(run), str(bucket / "data")): "data is there already",
        ("export", str(run), str(bucket / "data"), "--overwrite"): "something else would be removed; choose another",
        ("export", str(run), str(run), "--overwrite"): "or its checkpoints; choose another folder",
        ("export", str(run), "hf://org/model"): "hf:// is only read here; write to the disk, or to s3:// or gs://",
    }.items():
        status, _, error = lumos(*words)
        assert (status, error.count("\n"), said in error) == (2, 1, True), error
        assert "hidden" not in error
        assert "xllmx-store" not in error


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
