"""The model a task trains: of an architecture or a checkpoint, and of settings that win over both."""

from dataclasses import replace

from lumos.hub.models import LUMINA_REPO, named_folder
from lumos.lumina_video.checkpoint.weights import read_config
from lumos.lumina_video.config import RELEASED_ARCHITECTURE, LuminaVideoConfig
from lumos.lumina_video.encoding.protocols import SYSTEM_PROMPT
from lumos.lumina_video.training.stated_model import merged
from lumos.lumina_video.training.task_config import LuminaVideoTaskConfig
from xllmx.safe.json_text import read_object

_DEFAULTS = "generation_config.json"
_RELEASED_ENCODER = "ckpts/google/gemma-2-2b"


def with_parts(config: LuminaVideoTaskConfig) -> LuminaVideoTaskConfig:
    """Return the settings with encoders and system prompt named: those of the model that is started from, if any.

    A model without `text_encoder/`, and fresh weights, have the released ones.

    Raises:
        ValueError: that model is not there, so that nobody knows which encoders it has.
    """
    folder = named_folder(config.init_from) if config.init_from is not None else None
    encoder, vae = _part(config.text_encoder, "text_encoder"), _part(config.vae, "vae")
    prompt = config.system_prompt
    if folder is not None and not folder.is_dir() and None in (encoder, vae):
        raise ValueError(
            f"task.init_from is {config.init_from}, which is not there: correct the name, or put it back; or name a "
            "model that has its encoders: as task.text_encoder and task.vae, or to lumos export as --tokenizers MODEL"
        )
    if encoder is None and folder is not None and (folder / "text_encoder").is_dir():
        encoder = str(folder / "text_encoder")
    if vae is None and folder is not None and (folder / "vae").is_dir():
        vae = str(folder / "vae")
    if prompt is None and folder is not None and (folder / _DEFAULTS).is_file():
        prompt = read_object(folder / _DEFAULTS).get("system_prompt")
    return replace(
        config,
        init_from=None if folder is None else str(folder),
        text_encoder=_RELEASED_ENCODER if encoder is None else encoder,
        vae=vae,
        system_prompt=SYSTEM_PROMPT if prompt is None else str(prompt),
    )


def _part(named: str | None, part: str) -> str | None:
    """Return the folder of a part that is named itself, or by the model that has it."""
    if named is None:
        return None
    folder = named_folder(named)
    return str(folder / part if (folder / part).is_dir() else folder)


def read_model_config(config: LuminaVideoTaskConfig) -> LuminaVideoConfig:
    """Return the model's config: that of the checkpoint `init_from`, or of `architecture`, then the fields of `model`.

    Raises:
        ValueError: nothing says what model to train, or a field that no model has.
    """
    if config.architecture is not None or config.init_from is None:
        return merged(config, None)
    return merged(config, read_config(named_folder(config.init_from)))


def without_checkpoint(config: LuminaVideoTaskConfig) -> LuminaVideoTaskConfig:
    """Return the settings with the published shape in place of the released checkpoint, if it is not here.

    For arithmetic alone: nothing can be started from it.
    """
    place = None if config.init_from is None else named_folder(config.init_from)
    if place is None or place.is_dir() or "/".join(place.parts[-2:]) != LUMINA_REPO:
        return config
    return replace(config, init_from=None, architecture=config.architecture or RELEASED_ARCHITECTURE)
