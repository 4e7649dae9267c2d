"""What is given as --config and is no config: what it is instead, and what was probably meant; without torch."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumos.hub.models import MODEL_MARKS
from xllmx.safe.yaml_text import read_yaml

_RUN_FILE, _INDEX = "config.yaml", "index.json"
_TABLES = (".csv", ".tsv", ".jsonl", ".tar")
_CLIPS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif", ".png", ".jpg", ".jpeg", ".webp")
_DATA = (".parquet", ".pkl")
_SETTINGS = (".yaml", ".yml", ".json")
_EXPECTED = "--config takes a YAML file of settings, such as configs/train/quickstart.yaml"
_MAKE = "make a set of clips of it (pre_tokenize/README.md)"
_SHOWN = 5


def check_config_file(path: Path) -> None:
    """Check that a path is not something else that belongs to a training; whether it is a config, its reader says.

    Raises:
        ValueError: it is a folder, clips or a list of them, data, a model, or a file of another kind.
    """
    if path.is_dir():
        raise ValueError(f"--config: {path} {_folder(path)}; {_EXPECTED}")
    if path.is_file() and (said := _file(path)):
        raise ValueError(f"--config: {path} {said}; {_EXPECTED}")


def _folder(path: Path) -> str:
    """What a folder is, and what was probably meant by it."""
    if (path / _RUN_FILE).is_file():
        return f"is the folder of a training run, and its settings are in it: --config {_word(path / _RUN_FILE)}"
    if any((path / name).is_file() for name in MODEL_MARKS):
        return f"is a model, which a config names: task.init_from={_word(path)}"
    if (path / _INDEX).is_file() or next(path.glob("*.parquet"), None) is not None:
        return f"is a set of clips, {_named_as_data(path)}"
    if configs := sorted(one.name for one in path.iterdir() if one.suffix in (".yaml", ".yml")):
        more = ", ..." if len(configs) > _SHOWN else ""
        return f"is a folder; give one of its files ({', '.join(configs[:_SHOWN])}{more})"
    return "is a folder"


def _file(path: Path) -> str | None:
    """What a file is that is no config, and what was probably meant by it; None where it may be one."""
    suffix = path.suffix.lower()
    if suffix in _TABLES:
        return (
            f"is a list of clips: {_MAKE}, which a config names; Lumina-Video also trains on the list itself: "
            f"task.tasks.NAME.data={_word(path)}"
        )
    if suffix in _CLIPS:
        return f"is a picture or a video: list it in a CSV with the columns path,text, and {_MAKE}"
    if suffix in _DATA:
        return f"holds clips, {_named_as_data(path)}"
    try:
        found = read_yaml(path)
    except ValueError:  # said by the reader, where it looks like settings
        return None if suffix in _SETTINGS else "is no YAML"
    return _content(path, found)


def _content(path: Path, found: Any) -> str | None:
    """What the content of a file shows it to be; None where it may be a config."""
    is_settings = path.suffix.lower() in _SETTINGS
    if isinstance(found, Mapping) and (is_settings or any(value is not None for value in found.values())):
        if "META" in found:
            return f"is a data YAML, {_named_as_data(path)}"
        if isinstance(found.get("shards"), list):
            return f"is the index of a set of clips, {_named_as_data(path)}"
        if "hidden_size" in found or "model_type" in found:
            return f"holds the settings of a model, which a config names: task.model_config={_word(path)}"
        return None
    if isinstance(found, list) and found:
        return "holds a list at the top, and settings are `key: value` lines"
    return None if is_settings else "is no YAML of `key: value` lines"


def _named_as_data(path: Path) -> str:
    return f"which a config names: task.data.video={_word(path)} (of Lumina-Video: task.tasks.NAME.data)"


def _word(path: Path) -> str:
    return shlex.quote(str(path))
