"""What training says of its latents: blotches, and sizes of which none is the model's."""

import logging
from pathlib import Path

import pytest

from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.data.shards import LatentWriter
from lumos.lumina_video.training.items.data_report import report_latents
from lumos.lumina_video.training.task import LuminaVideoTask
from tests.lumos.lumina_video.latents import VAE, latent_clip, task_config, tasks_of


def written(folder: Path, *, psnr_db: float | None = None) -> Path:
    """Three clips of 96x64 px, one of 32x64."""
    with LatentWriter(folder, vae=VAE) as writer:
        for index, width in enumerate((12, 12, 12, 4)):
            writer.add(latent_clip(index, shape=(4, 8, width)), psnr_db=psnr_db)
    return folder


def test_shards_below_22_db_are_said_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    low = {**tasks_of(tmp_path)["fine"], "data": str(written(tmp_path / "low", psnr_db=18.25))}
    with caplog.at_level(logging.WARNING):
        LuminaVideoTask(task_config(tmp_path, tasks={"low": low})).build_dataset("train")
    (said,) = [message for message in caplog.messages if "blotches" in message]
    assert said.startswith("task low: clips that were decoded again are blotches: 18.2 dB PSNR")
    assert "--vae ckpts/THUDM/CogVideoX-2b/vae" in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('{"width": 96, "height": 64}', ""),
        ('{"width": 32, "height": 64}', ""),
        ("{}", ""),
        ('{"width": 64, "height": 64}', "4 of 4 clips are 96x64, 32x64, "),
        ('{"width": "wide", "height": 64}', "cannot be told: width is 'wide'"),
    ],
)
def test_sizes_of_which_none_is_the_models_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, settings: str, said: str
) -> None:
    (tmp_path / "generation_config.json").write_text(settings)
    with caplog.at_level(logging.WARNING):
        report_latents("a", LatentSet(written(tmp_path / "clips")), init_from=str(tmp_path))
    assert (len(caplog.messages), said in caplog.text) == (bool(said), True)
