"""What training says of its latents: blotches, and sizes of which none is the model's."""

import logging
from pathlib import Path

import pytest

from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.data.shards import LatentWriter
from lumos.lumina_video.training.items.data_report import looked_up_motion, report_latents, report_motion
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


@pytest.mark.parametrize(("motion", "warned"), [(-1.0, True), (2.5, False)])
def test_latents_without_a_motion_score_are_said_with_the_command_that_adds_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, motion: float, warned: bool
) -> None:
    fine = tasks_of(tmp_path)["fine"]
    with LatentWriter(tmp_path / "unscored", vae=VAE) as writer:
        for index in range(6):
            writer.add(latent_clip(index, motion=motion))
    with caplog.at_level(logging.WARNING):
        tasks = {"a": {**fine, "data": str(tmp_path / "unscored")}}
        LuminaVideoTask(task_config(tmp_path, tasks=tasks)).build_dataset("train")
    found = [message for message in caplog.messages if "motion" in message]
    assert [message.partition(": they")[0] for message in found] == (
        ["task a: 3 of 3 clips looked at, of 6, have no motion score"] if warned else []
    )
    assert all("python -m pre_tokenize.motion" in message and "latents again" in message for message in found)


def test_clips_of_a_list_are_all_counted_and_images_have_no_motion(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        report_motion("task.tasks.raw", [-1.0, 3.0, -1.0], total=3, is_list=True)
        report_motion("task.tasks.raw", [3.0], total=1, is_list=True)
    (said,) = caplog.messages
    assert said.startswith("task.tasks.raw: 2 of 3 clips have no motion score: ")
    assert "again" not in said
    with LatentWriter(tmp_path, vae=VAE) as writer:
        writer.add(latent_clip(0, shape=(1, 8, 12)))
    assert looked_up_motion(LatentSet(tmp_path)) == []
