"""How near the first images of a list come back from the VAE: what pre-tokenisation says of clips, said on the way."""

import logging
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from lumos.lumina_video.training.items.image_files import ImageSample
from lumos.lumina_video.vae import CogVideoXVAE
from lumos.media.decoded import DecodedSample, low_psnr, mean_db, psnr
from xllmx.ranks.distributed import is_main

NUM_DECODED = 2
"""Images of each list, the first that are trained on."""

_LOG = logging.getLogger(__name__)
_REMEDY = "list larger or sharper images, raise image_size of the task, or take another VAE with task.vae"


class DecodedImages:
    """The images that were decoded again, on the main rank, by the list that they are of."""

    def __init__(self) -> None:
        """Begin with none."""
        self._psnr_db: dict[str, dict[int, float]] = {}

    def see(self, sample: ImageSample, latent: Float[Tensor, "1 C 1 h w"], vae: CogVideoXVAE) -> None:
        """Decode an image just encoded, if it is one of the first of its list, and log how near they come at last."""
        known = self._psnr_db.setdefault(sample.task.data, {})
        if len(known) == NUM_DECODED or not is_main():
            return
        with torch.no_grad():
            decoded = vae.decode(latent.float(), 1)
        (known[len(known)],) = psnr(sample.pixels[None, None].numpy(), decoded.cpu())
        if len(known) == NUM_DECODED:
            self._say(DecodedSample(file=Path(sample.task.data), psnr_db=known))

    def _say(self, decoded: DecodedSample) -> None:
        if said := low_psnr([decoded], remedy=_REMEDY, what="lists"):
            _LOG.warning("%s", said)
        else:
            _LOG.info("%s: %d images decoded again: %.1f dB PSNR", decoded.file, NUM_DECODED, mean_db([decoded]))
