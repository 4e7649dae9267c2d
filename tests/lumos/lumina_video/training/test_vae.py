"""Training of the VAE: the loss falls, a resumed run is the uninterrupted one, the folder has the quality measured."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lumos.lumina_video.training.parts.vae_task import VAETask
from lumos.lumina_video.training.vae import VAERunConfig, main, run
from lumos.lumina_video.vae import CogVideoXVAE
from tests.lumos.lumina_video.training.parts.test_vae_task import TINY
from xllmx.optimisation.optim import OptimConfig
from xllmx.run.whole_training import NETWORK_FILE
from xllmx.trainer import TrainerConfig


def run_config(folder: Path, *, max_steps: int) -> VAERunConfig:
    return VAERunConfig(
        trainer=TrainerConfig(
            run_dir=folder / "run",
            max_steps=max_steps,
            batch_size={"images": 3, "clips": 2},
            schedule={"images": 1, "clips": 2, "chained": 1},
            precision="fp32",
            ema_decay=0.5,
            log_every=1,
            eval_batches=3,
            progress=False,
            device="cpu",
            save_every=0,
        ),
        optim=OptimConfig(name="muon", lr=4e-3, warmup_steps=2, weight_decay=0.0),
        task=TINY,
        export_to=folder / "vae",
        export_dtype="float32",
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A folder with `run` and `vae`, and the metrics on held-out clips."""
    folder = tmp_path_factory.mktemp("vae")
    return folder, run(run_config(folder, max_steps=24))


def test_training_lowers_the_loss(trained: tuple[Path, dict[str, float]]) -> None:
    rows = [json.loads(line) for line in (trained[0] / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if row["kind"] == "train"]
    assert len(losses) == 24
    assert sum(losses[-8:]) < 0.8 * sum(losses[:8])


def test_the_exported_folder_has_the_quality_that_was_measured(trained: tuple[Path, dict[str, float]]) -> None:
    folder, metrics = trained
    vae, clips = CogVideoXVAE.from_pretrained(folder / "vae"), VAETask(TINY).build_dataset("eval")["chained"]
    pixels = torch.stack([clips[index] for index in range(3)]).float() / 127.5 - 1
    error = ((vae.decode(vae.encode(pixels), 16).clamp(-1, 1) - pixels) / 2).square().flatten(1).mean(1)
    assert metrics["chained/psnr_db"] == pytest.approx(float(-10 * error.log10().mean()), abs=1e-3)


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(tmp_path: Path) -> None:
    """The learning rate is constant, so that the shorter run is the beginning of the longer one."""
    run(run_config(tmp_path / "whole", max_steps=7))
    run(run_config(tmp_path / "cut", max_steps=3))
    run(run_config(tmp_path / "cut", max_steps=7))
    whole, cut = (load_file(tmp_path / name / "run" / NETWORK_FILE) for name in ("whole", "cut"))
    assert all(cut[name].equal(weight) for name, weight in whole.items())


def test_command_line_says_what_to_mend(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--config", str(tmp_path / "none.yaml")]) == 2
    assert f"error: settings file {tmp_path / 'none.yaml'} does not exist" in capsys.readouterr().err
