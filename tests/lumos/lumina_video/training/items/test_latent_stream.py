"""Clips of latents as a dataset: which of them a task takes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.data.latents import VAEIdentity
from lumos.lumina_video.training.items.latent_stream import LatentStream
from lumos.lumina_video.training.items.samples import cut_latent, draw_item
from lumos.lumina_video.training.task_config import LuminaVideoTaskConfig, ScaleTask
from tests.lumos.lumina_video.latents import write_latents
from tests.lumos.lumina_video.tiny import CONFIG, LATENT_CHANNELS
from xllmx.data.broken import BrokenSampleError
from xllmx.data.streams import Streams

TASK = LuminaVideoTaskConfig()


@pytest.mark.parametrize(("pixels", "said"), [(4, None), (8, "96x64 px"), (16, "192x128 px")])
def test_pixels_are_counted_as_the_vae_of_the_latents_has_them(tmp_path: Path, pixels: int, said: str | None) -> None:
    vae = VAEIdentity(channels=LATENT_CHANNELS, scale=1.0, spatial=pixels, temporal=4)
    latents = LatentSet(write_latents(tmp_path / "set", num=4, vae=vae))
    task = ScaleTask(data=str(tmp_path / "set"), image_size=64)
    if said is None:
        assert len(LatentStream("fine", latents, task, model=CONFIG)) == 4
        return
    with pytest.raises(ValueError, match=f"a clip has {said}, more than the square of image_size=64"):
        LatentStream("fine", latents, task, model=CONFIG)


@pytest.mark.parametrize(("frames", "left"), [(2, 3), (4, 2), (8, 1)])
def test_a_window_is_as_many_frames_as_the_vae_of_the_latents_makes(tmp_path: Path, frames: int, left: int) -> None:
    vae = VAEIdentity(channels=LATENT_CHANNELS, scale=1.0, spatial=8, temporal=frames)
    latents = LatentSet(write_latents(tmp_path / "set", num=2, shape=(3, 8, 12), vae=vae))
    stream = LatentStream("fine", latents, ScaleTask(data=str(tmp_path / "set"), max_frames=8), model=CONFIG)
    assert stream.bucket_keys[0] == (left, 8, 12)
    sample = stream[0]
    assert cut_latent(sample.latent, sample.task, draw=0.5, frames_per_latent=sample.frames_per_latent).shape[1] == left
    assert draw_item(sample, TASK, generator=torch.Generator()).latents.shape[1] == left


def test_clips_of_different_types_share_no_batch(tmp_path: Path) -> None:
    """Nor do those of different sizes; small clips, which the scale does not divide, are in neither."""
    for name, shape in {"a": (4, 8, 12), "b": (4, 8, 12), "c": (4, 2, 2)}.items():
        write_latents(tmp_path / name, num=4, shape=shape)
    path = tmp_path / "all.yaml"
    path.write_text("META: [{path: a, type: x}, {path: c, type: x}, {path: b, type: y}]")
    task = ScaleTask(data=str(path), patch_size=4)
    stream = LatentStream("fine", LatentSet(path), task, model=CONFIG)
    assert list(stream.sizes) == [(4, 8, 12)] * 8
    order = Streams({"fine": stream}, batch_size={"fine": 2}).orders["fine"]
    assert order.batches_per_epoch == 4
    assert all(len({index // 4 for index in order.batch(number)}) == 1 for number in range(8))


@pytest.mark.parametrize(("fields", "said"), [
    ({"image_size": 64}, "raise KEY.image_size"),
    ({"media_type": "image"}, "correct KEY.media_type or KEY.data"),
    ({"target_fps": 12.0}, "correct KEY.target_fps"),
    ({"max_frames": 3}, "KEY: scale 1x2"),
])  # fmt: skip
@pytest.mark.parametrize("held_out", [False, True])
def test_a_fault_is_named_by_the_setting_to_change(
    tmp_path: Path, fields: dict[str, Any], said: str, held_out: bool
) -> None:
    """Held-out tasks bear the names of those that are trained on."""
    latents = LatentSet(write_latents(tmp_path / "set", num=4))
    task = replace(ScaleTask(data=str(tmp_path / "set")), **fields)
    with pytest.raises((ValueError, BrokenSampleError)) as caught:
        LatentStream("fine", latents, task, model=CONFIG, held_out=held_out)[0]
    assert said.replace("KEY", "task.eval_tasks.fine" if held_out else "task.tasks.fine") in str(caught.value)
