"""Losses under masks of every kind are those that a training's own evaluation measures."""

import json
from pathlib import Path

import pytest

from eval.ablations.crossed import MASKS, all_losses, losses_under, read_losses
from lumos.cli import main as lumos
from pre_tokenize.shapes import main as shapes
from xllmx.run.reporting.metrics import read_metrics

SMALL = ["task.model.hidden_size=32", "task.model.intermediate_size=48", "task.model.num_hidden_layers=1"]


def test_they_are_those_of_the_training_that_ended_in_the_model(
    tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips, run, model = tmp_path / "clips", tmp_path / "run", tmp_path / "model"
    assert shapes(["--out", str(clips), "--num", "12", "--objects", "1", "--tokenizer", "lumos-tiny"]) == 0
    data = [f"task.data.video={clips}", f"task.eval_data.video={clips}"]
    steps = ["trainer.max_steps=2", "trainer.eval_every=2", "trainer.precision=fp32", f"trainer.run_dir={run}"]
    config = str(repo / "configs" / "ablations" / "random.yaml")
    assert lumos(["train", "--config", config, *data, *steps, *SMALL, "task.model.rotary=rope_1d"]) == 0
    assert lumos(["export", str(run), str(model), "--tokenizers", "lumos-tiny"]) == 0
    (measured,) = read_metrics(run, "eval")
    monkeypatch.setattr("eval.ablations.crossed.resolve_precision", lambda name, device: "fp32")
    losses = {masks: losses_under(model, clips, masks) for masks in MASKS}
    assert losses["random"] == pytest.approx(measured["video/loss"], abs=1e-5)
    assert len({round(loss, 4) for loss in losses.values()}) == len(MASKS)
    (tmp_path / "losses.json").write_text(all_losses(model, clips))
    assert read_losses(tmp_path / "losses.json") == json.loads(json.dumps(losses))
