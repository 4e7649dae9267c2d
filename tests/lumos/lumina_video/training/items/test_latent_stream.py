"""Clips of latents as a dataset: which of them a task takes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.data.latents import VAEIdentity
from lumos.lumina_video.training.items.latent_stream import LatentStream
from lumos.lumina_video.training.task_config import ScaleTask
from tests.lumos.lumina_video.latents import write_latents
from tests.lumos.lumina_video.tiny import CONFIG, LATENT_CHANNELS
from xllmx.data.broken import BrokenSampleError


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
