"""Clips of latents as a dataset: which of them a task takes."""

from pathlib import Path

import pytest

from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.data.latents import VAEIdentity
from lumos.lumina_video.training.items.latent_stream import LatentStream
from lumos.lumina_video.training.task_config import ScaleTask
from tests.lumos.lumina_video.latents import write_latents
from tests.lumos.lumina_video.tiny import CONFIG, LATENT_CHANNELS


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
