"""All latents of a training are of one VAE: that of the model, or where none is named that of the first latents."""

from pathlib import Path

from lumos.hub.hashes import sha256_of
from lumos.lumina_video.data.latents import VAEIdentity
from lumos.lumina_video.sizes import RELEASED, Compression
from lumos.lumina_video.vae import WEIGHTS, CogVideoXVAE


class OneVAE:
    """Which VAE the latents of a training are of, as far as is known so far."""

    def __init__(self, folder: str | Path | None) -> None:
        """Begin with the VAE of a folder, read when first needed; None: with none."""
        self._folder = None if folder is None else Path(folder)
        self._known: VAEIdentity | None = None

    @property
    def compression(self) -> Compression:
        """What one latent stands for, by the latents seen or the folder's config; with neither by the released VAE."""
        if self._known is not None:
            return Compression(spatial=self._known.spatial, temporal=self._known.temporal)
        if self._folder is None:
            return RELEASED
        vae = CogVideoXVAE.without_weights(self._folder)
        return Compression(spatial=vae.spatial, temporal=vae.temporal)

    def require(self, made_by: VAEIdentity | None, *, said_by: str) -> None:
        """Check latents against the VAE of the folder, whose weights are hashed once, and against those seen before.

        Args:
            made_by: their VAE; None, as of released records, passes.
            said_by: what they are called in the error.

        Raises:
            ValueError: they are of another VAE.
        """
        if made_by is None:
            return
        if self._known is None and self._folder is not None:
            vae = CogVideoXVAE.without_weights(self._folder)
            self._known = VAEIdentity.of(vae, sha256=sha256_of(self._folder / WEIGHTS))
        self._known = made_by if self._known is None else self._known.require(made_by, said_by=said_by)
