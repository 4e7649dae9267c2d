"""What an exported model is asked for where nothing is said: the clips that it was trained on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumos.lumos1.sequence import num_latent_frames
from xllmx.checkpoints.folder import read_record
from xllmx.safe.json_text import read_object
from xllmx.settings.number_range import Range, check_number
from xllmx.task import GENERATION

_FILE = "generation_config.json"
_NUMBERS = ("width", "height", "num_frames", "fps", "duration", "image_width", "image_height")
_CLIP = ("width", "height", "num_frames", "fps", "duration", "seconds", "target_size", "sizes")
"""Settings that say which clip; those of a model that was started from give way to the trained ones together.
A rate that nobody wrote down is the exception: it stays what it was."""
_ANY = Range(1, 2**16)


def write_trained_clips(folder: Path, checkpoint: Path) -> None:
    """Put the clips that a checkpoint was trained on among the defaults of the model in a folder.

    Pictures alone leave those of a model that has a size: that it makes videos is not forgotten. A checkpoint of an
    earlier version says nothing, and then nothing is changed.

    Raises:
        ValueError: the checkpoint says clips that there cannot be.
    """
    clips = _checked(read_record(checkpoint).get(GENERATION), checkpoint)
    file = folder / _FILE
    defaults = read_object(file) if file.is_file() else {}
    if clips.get("num_frames") == 1 and defaults.keys() & set(_CLIP):
        clips = {name: value for name, value in clips.items() if name.startswith("image_")}
    elif clips:
        replaced = [name for name in _CLIP if name != "fps" or "fps" in clips]
        defaults = {name: value for name, value in defaults.items() if name not in replaced}
    if not clips:
        return
    defaults |= clips
    frames = clips.get("num_frames") or clips.get("fps", 0) * clips.get("duration", 0)
    if frames > 1 and isinstance(defaults.get("history_frames"), int):  # as many as leave a frame of a clip to make
        defaults["history_frames"] = min(defaults["history_frames"], num_latent_frames(frames) - 1)
    file.write_text(json.dumps(defaults, indent=2) + "\n", encoding="utf-8")


def _checked(said: Any, checkpoint: Path) -> dict[str, Any]:
    """Return what a checkpoint says of its clips, which somebody else may have written."""
    if said is None:
        return {}
    try:
        if not isinstance(said, Mapping) or said.keys() - {*_NUMBERS, "sizes"}:
            raise ValueError(f"{said!r:.80} is none")
        for name, value in said.items():
            check_number(name, list[tuple[int, int]] if name == "sizes" else int, value, _ANY)
    except ValueError as error:
        raise ValueError(
            f"{checkpoint}: it does not say which clips it was trained on ({error}); bring its checkpoint.json back"
        ) from error
    return dict(said)
