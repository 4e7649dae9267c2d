"""What is said of data before training: of blotches, of sizes of which none is the model's, of motion not scored."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.data.shards import LATENTS
from lumos.lumina_video.made_for import made_for
from lumos.lumina_video.sizes import RELEASED
from lumos.media.decoded import low_psnr
from xllmx.ranks.distributed import is_main
from xllmx.words import plural

_LOG = logging.getLogger(__name__)
_UNSCORED = (
    "they are trained on as clips whose motion is not said; python -m pre_tokenize.motion gives a list its scores "
    "(unimatch_flow)"
)


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


def report_motion(name: str, scores: Sequence[float] | Float64[np.ndarray, "N"], *, total: int, is_list: bool) -> None:
    """Warn, on the main rank, where clips have no motion score (-1).

    Args:
        name: of the task, as the log names it.
        scores: of all clips, or of some that were looked at.
        total: how many clips there are.
        is_list: whether they are files of a list, which need not be encoded again.
    """
    unknown = np.count_nonzero(np.asarray(scores) < 0)
    if not unknown or not is_main():
        return
    of = f"{unknown} of {plural(total, 'clip')}"
    if len(scores) < total:
        of = f"{unknown} of {len(scores)} clips looked at, of {total:,},"
    again = "" if is_list else "; then make the latents again"
    _LOG.warning("%s: %s have no motion score: %s%s", name, of, _UNSCORED, again)


def looked_up_motion(latents: LatentSet) -> list[float]:
    """Return the motion scores of the first, the middle and the last video; images, and what is broken, left out."""
    found = []
    for index in sorted({0, len(latents) // 2, len(latents) - 1}) if len(latents) else []:
        try:
            clip = latents[index]
        except ValueError:  # a broken sample, which training reports and replaces
            continue
        found += [] if clip.is_image else [clip.motion]
    return found
