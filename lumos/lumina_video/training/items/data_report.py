"""What is said of latents before training: that they come back as blotches, or that none has the model's size."""

import logging
from collections import Counter
from pathlib import Path

from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.data.shards import LATENTS
from lumos.lumina_video.made_for import made_for
from lumos.lumina_video.sizes import RELEASED
from lumos.media.decoded import low_psnr
from xllmx.ranks.distributed import is_main

_LOG = logging.getLogger(__name__)


def report_latents(name: str, latents: LatentSet, *, init_from: str | None) -> None:
    """Warn, on the main rank, of shards of low PSNR, and where no clip has the size that the model is made for.

    Crops of every aspect about that size are how such a model is trained, so that some of another size are no matter.
    """
    if not is_main():
        return
    if said := low_psnr(latents.decoded, remedy=LATENTS.remedy):
        _LOG.warning("task %s: %s", name, said)
    if init_from is None:
        return
    try:
        model = made_for(Path(init_from))
    except ValueError as error:  # how it generates is no matter of training
        _LOG.warning("task %s: what %s is made for cannot be told: %s", name, init_from, error)
        return
    side = RELEASED.spatial if latents.vae is None else latents.vae.spatial
    sizes: Counter[tuple[int, int]] = Counter()
    for (_, _, height, width, _), number in zip(latents.kinds.values, latents.kinds.counts().tolist(), strict=True):
        sizes[width * side, height * side] += number
    if model is not None and not set(model.sizes) & sizes.keys() and (said := model.differences(sizes, {})):
        _LOG.warning("task %s: %s", name, said)
