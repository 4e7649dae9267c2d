"""The clips that a model of Lumina-Video is made for."""

from pathlib import Path

from lumos.hub.models import read_json
from lumos.lumina_video.settings import resolve_settings
from lumos.media.made_for import MadeFor


def made_for(folder: str | Path, *, name: str | None = None) -> MadeFor | None:
    """What the model in a folder (`name` in messages) expects of clips; None where it does not say its size.

    Raises:
        ValueError: settings that are none.
    """
    file = Path(folder) / "generation_config.json"
    defaults = read_json(file) if file.is_file() else {}
    if not {"width", "height"} <= defaults.keys():
        return None
    clip = resolve_settings(defaults, {})
    return MadeFor(model=name or str(folder), sizes=[(clip.width, clip.height)], fps=clip.fps)
