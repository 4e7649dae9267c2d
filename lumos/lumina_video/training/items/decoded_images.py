"""How near the first images or clips of a list come back: what pre-tokenisation says of clips, said on the way."""

import logging
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from lumos.lumina_video.training.items.clip_files import ClipSample
from lumos.lumina_video.training.items.image_files import ImageSample
from lumos.lumina_video.vae import CogVideoXVAE
from lumos.media.decoded import DecodedSample, low_psnr, mean_db, psnr
from xllmx.ranks.distributed import is_main

NUM_DECODED = 2
"""Images or clips of each list, the first that are trained on."""
_MOST_LATENT_FRAMES = 2
"""Of a clip, from its start: what the VAE decodes together."""

_LOG = logging.getLogger(__name__)
_REMEDY = "list larger or sharper files, raise image_size of the task, or take another VAE with task.vae"


class DecodedImages:
    """The images and clips that were decoded again, on the main rank, by the list that they are of."""

    def __init__(self) -> None:
        """Begin with none."""
        self._psnr_db: dict[str, dict[int, float]] = {}

    def see(self, sample: ImageSample | ClipSample, latent: Float[Tensor, "1 C T h w"], vae: CogVideoXVAE) -> None:
        """Decode what was just encoded, of a clip its first frames, and log how near they come at last.

        It is done for the first of each list.
        """
        known = self._psnr_db.setdefault(sample.task.data, {})
        if len(known) == NUM_DECODED or not is_main():
            return
        with torch.no_grad():
            frames = sample.frames[: vae.temporal * _MOST_LATENT_FRAMES]
            decoded = vae.decode(latent[:, :, :_MOST_LATENT_FRAMES].float(), len(frames))
        (known[len(known)],) = psnr(frames[None].numpy(), decoded.cpu())
        if len(known) == NUM_DECODED:
            self._say(DecodedSample(file=Path(sample.task.data), psnr_db=known), sample.task.media_type)

    def _say(self, decoded: DecodedSample, media_type: str) -> None:
        if said := low_psnr([decoded], remedy=_REMEDY, what="lists"):
            _LOG.warning("%s", said)
        else:
            what = f"{NUM_DECODED} {media_type}s decoded again"
            _LOG.info("%s: %s: %.1f dB PSNR", decoded.file, what, mean_db([decoded]))
