"""The settings beside released weights: `model_args.pth`, the pickled arguments of the training command.

A pickle is a program. Here it may build plain values and one `argparse.Namespace`, and is refused before it does
anything else; so is a file far larger than a few dozen settings need.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lumos.hub.hashes import check_hash
from lumos.lumina_video.config import LuminaVideoConfig
from xllmx.safe.safetensors_file import refuse_pointer
from xllmx.safe.torch_archive import TENSOR_NAMES, check_torch_file

_MOST_BYTES = 2**20
_MOST_VALUES = 10_000
"""Lists within lists can name each other: a small file may spell a number of values without end."""

_NAMES = TENSOR_NAMES | {"argparse.Namespace"}
"""What the pickle may ask for before it is looked at more closely."""

_REMEDY = "copy or download it again from whom you trust"


def read_released_config(file: Path) -> LuminaVideoConfig:
    """Return the config that the arguments in a `model_args.pth` describe.

    `model` names the architecture and `qk_norm` is needed; scales and factors that are left out have the defaults of
    the released code, not those of its recipe.

    Raises:
        ValueError: the file holds something else than plain arguments, or arguments no model has.
    """
    arguments = read_model_args(file)
    absent = [name for name in ("model", "qk_norm") if name not in arguments]
    if absent:
        raise ValueError(f"{file} does not say {' and '.join(absent)}: it is not of a Lumina-Video model; {_REMEDY}")
    if not isinstance(arguments["model"], str):
        raise ValueError(f"{file}: model is {arguments['model']!r:.80}, not a name; {_REMEDY}")
    try:
        return _config(arguments)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def read_model_args(file: Path) -> dict[str, Any]:
    """Return the arguments in a `model_args.pth` by name; nothing in it is run.

    Raises:
        ValueError: the file is too large, broken, or holds anything but an `argparse.Namespace` of plain values.
    """
    size = _num_bytes(file)
    if size > _MOST_BYTES:
        raise ValueError(f"{file} holds {size} bytes where settings need at most {_MOST_BYTES}; {_REMEDY}")
    check_hash(file)
    try:
        check_torch_file(file, names=_NAMES)
    except ValueError as error:
        raise ValueError(f"{file} is no file of plain settings ({error}); {_REMEDY}") from error
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken pickle may raise anything
        reason = type(error).__name__
        raise ValueError(f"{file} is no file of plain settings ({reason} while reading); {_REMEDY}") from error
    if not isinstance(content, argparse.Namespace):
        raise ValueError(f"{file} holds a {type(content).__name__}, not the arguments of a command; {_REMEDY}")
    _check_plain(vars(content), file)
    return dict(vars(content))


def _config(arguments: Mapping[str, Any]) -> LuminaVideoConfig:
    fields = LuminaVideoConfig.named(arguments["model"]).to_dict()
    code = LuminaVideoConfig().to_dict()
    names = {
        "patch_sizes": "all_patch_size",
        "f_patch_sizes": "all_f_patch_size",
        "qk_norm": "qk_norm",
        "rope_theta": "rope_theta",
        "t_scale": "t_scale",
        "motion_scale": "motion_scale",
    }
    return LuminaVideoConfig.from_dict(fields | {ours: arguments.get(name, code[ours]) for name, ours in names.items()})


def _num_bytes(file: Path) -> int:
    """Bytes of the file, which are those of its parts too: `check_torch_file` refuses parts that are packed."""
    if not file.is_file():
        raise ValueError(f"{file} is missing; {_REMEDY}")
    refuse_pointer(file)
    return file.stat().st_size


def _check_plain(arguments: Mapping[str, Any], file: Path) -> None:
    """Raise ValueError unless all values are numbers, strings, None, or lists, tuples and dicts of such."""
    waiting: list[Any] = list(arguments.values())
    for _ in range(_MOST_VALUES):
        if not waiting:
            return
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple):
            waiting += value
        elif value is not None and not isinstance(value, bool | int | float | str):
            raise ValueError(f"{file} holds a {type(value).__name__} among its settings; {_REMEDY}")
    raise ValueError(f"{file} holds more than {_MOST_VALUES} settings; {_REMEDY}")
