"""The model a task trains: read from a checkpoint, a file and settings, each winning over the one before."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from lumos.hub.bundled import file_or_bundled
from lumos.hub.models import LUMINA_VIDEO, LUMOS1, RELEASED, check_is_no_run, named_folder, require_kind
from lumos.lumos1.architectures import architecture_of
from lumos.lumos1.config import LumosConfig, check_types, said_of
from lumos.lumos1.training.task_config import LumosTaskConfig
from lumos.tokenizer.vocab import Vocab
from xllmx.safe.yaml_text import read_yaml
from xllmx.settings.setting import suggestion


def read_model_config(config: LumosTaskConfig) -> LumosConfig:
    """Return the model's config: that of the checkpoint `init_from`, then the file `model_config`, then `model`.

    Raises:
        ValueError: nothing says what model to train, or a file is missing (with the command that brings it).
    """
    fields: dict[str, Any] = {}
    folder = [named_folder(config.init_from) / "config.json"] if config.init_from else []
    for path in [*folder, *([file_or_bundled(config.model_config)] if config.model_config else [])]:
        if not path.is_file():
            check_is_no_run(path.parent)
            raise ValueError(f"the model's settings {path} do not exist; {_remedy(path)}")
        found = _settings_in(path)
        if found.get("model_type") == LUMINA_VIDEO:
            require_kind(path.parent, LUMINA_VIDEO, wanted=LUMOS1)
        fields |= found
    _require_known(config.model, "task.model")
    fields |= config.model
    if not fields:
        raise ValueError("no model to train: set task.model_config (a file), task.model (fields) or task.init_from")
    sources = [config.init_from, config.model_config, "task.model" if config.model else None]
    with said_of(f"the model of {', '.join(filter(None, sources))}"):
        check_types(fields)
        if fields.get("vocab") is None:  # a text model starts with the vocabulary it is to grow to
            fields["vocab_size"] = max(fields.get("vocab_size", 0), Vocab().size)
        return LumosConfig(**fields)


def without_checkpoint(config: LumosTaskConfig) -> LumosTaskConfig:
    """Return the settings with the published shape in place of a released checkpoint `init_from` that is not here.

    For arithmetic alone: nothing can be started from it.
    """
    if config.init_from is None or (named_folder(config.init_from) / "config.json").is_file():
        return config
    shape = architecture_of(config.init_from)
    if shape is None:
        return config
    return replace(config, init_from=None, model={**({} if config.model_config else shape), **config.model})


def _settings_in(path: Path) -> dict[str, Any]:
    """Return the model's settings in a file, `config.json` or YAML; ValueError naming the file if it holds others."""
    remedy = "correct task.init_from or task.model_config; such a file is for example configs/model/1B.yaml"
    try:
        found = read_yaml(path, remedy=remedy)
    except ValueError as error:
        raise ValueError(f"{path} is neither JSON nor YAML ({error})") from error
    known = LumosConfig().to_dict()
    if not isinstance(found, dict) or not found.keys() & known.keys():
        raise ValueError(f"{path} holds no settings of a model; {remedy}")
    if path.suffix != ".json":  # config.json keeps fields that only the original needs
        _require_known(found, str(path))
    return cast(dict[str, Any], found)


def _require_known(fields: Mapping[Any, Any], where: str) -> None:
    known = LumosConfig().to_dict()
    for name in map(str, fields.keys() - known.keys()):
        raise ValueError(f"{where}: unknown model setting {name}; {suggestion(name, known)}")


def _remedy(missing: Path) -> str:
    name = missing.parent.as_posix().removeprefix("ckpts/")
    if name in RELEASED:
        return f"run: lumos download {name} (lumos train --dry-run needs no checkpoint)"
    shape = "a --dry-run does with its shape: task.init_from=null task.model_config=configs/model/1B.yaml"
    return f"correct task.init_from or task.model_config ({shape})"
