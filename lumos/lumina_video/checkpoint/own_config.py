"""The config of a model in our layout, `config.json`; imported without torch."""

from pathlib import Path

from lumos.hub.models import LUMINA_VIDEO, read_json
from lumos.lumina_video.config import LuminaVideoConfig

CONFIG = "config.json"


def is_ours(folder: Path) -> bool:
    """Whether a folder has the config of a model of Lumina-Video in our layout."""
    file = folder / CONFIG
    if not file.is_file():
        return False
    try:
        return read_json(file).get("model_type") == LUMINA_VIDEO
    except ValueError:  # broken: then it is for whoever reads it to say so
        return False


def read_own_config(folder: Path) -> LuminaVideoConfig:
    """Return the config in a folder that `is_ours`.

    Raises:
        ValueError: it describes no model; the message names the file.
    """
    fields = read_json(folder / CONFIG)
    del fields["model_type"]
    try:
        return LuminaVideoConfig.from_dict(fields)
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG}: {error}") from error
