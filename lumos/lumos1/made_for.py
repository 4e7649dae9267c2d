"""The clips that a model of Lumos-1 is made for."""

from pathlib import Path

from lumos.hub.models import ckpts_root, defaults_of
from lumos.lumos1.sampling.settings import resolve_settings, sizes_for_images, target_for_images
from lumos.media.made_for import MadeFor

_SAYS_SIZE = {"sizes", "width", "height", "target_size"}


def made_for(folder: str | Path, *, name: str | None = None) -> MadeFor | None:
    """What the model in a folder (`name` in messages) expects of clips; None where it does not say.

    Raises:
        ValueError: settings that are none.
    """
    folder = Path(folder)
    defaults = defaults_of(folder, ckpts_root())
    if not defaults.keys() & _SAYS_SIZE:
        return None
    clip = resolve_settings(defaults, {})
    moving = clip.num_latent_frames > 1
    return MadeFor(
        model=name or str(folder),
        sizes=sizes_for_images(defaults),
        target_size=None if "sizes" in defaults else target_for_images(defaults),
        fps=clip.fps if moving else None,
        duration=clip.duration if moving else None,
    )
