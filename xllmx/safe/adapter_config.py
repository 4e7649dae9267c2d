"""`adapter_config.json` of whoever made the adapters: plain fields that are known here, and nothing else of it.

peft itself would import a module that the file names (megatron_core), build classes from it, and run its texts as
regular expressions over the names of all layers, for which some take years.
"""

import re
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from xllmx.safe.json_text import read_object

_MOST_RANK = 2**16
_MOST_ALPHA = 1e6
_MOST_NAMES = 10_000
_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_MOST_CHARACTERS = 200

_OF_NO_USE = {
    "peft_type", "task_type", "auto_mapping", "base_model_name_or_path", "peft_version", "revision", "inference_mode",
    "lora_dropout", "init_lora_weights", "megatron_core", "qalora_group_size", "runtime_config",
}  # fmt: skip
"""What stands in every file and says nothing of how adapters that are trained are added to the weights."""

REMEDY = "take adapters of plain LoRA, as an export with --adapter writes them"


def read_adapter_config(path: Path) -> dict[str, Any]:
    """Return the fields of peft's `LoraConfig` that a file asks for.

    Raises:
        ValueError: it is no JSON object within bounds, no LoRA, or asks for what is not read; names file and field.
    """
    content = read_object(path, remedy=REMEDY)
    if content.get("peft_type") != "LORA":
        raise ValueError(f"{path} is of type {_shown(content.get('peft_type'))}; only LoRA is read, {REMEDY}")
    fields: dict[str, Any] = {}
    for name, value in content.items():
        if name in _FIELDS:
            rule, holds = _FIELDS[name]
            if not holds(value):
                raise ValueError(f"{path}: {name} is {_shown(value)}; it must be {rule}; {REMEDY}")
            fields[name] = value
        elif name not in _OF_NO_USE and value not in (None, False, "none", [], {}, ""):
            raise ValueError(f"{path}: {_shown(name)} is {_shown(value)}, which is not read; {REMEDY}")
    for needed in ("r", "target_modules"):
        if needed not in fields:
            raise ValueError(f"{path} lacks {needed}; {REMEDY}")
    return fields


def _is_rank(value: Any) -> bool:
    return type(value) is int and 1 <= value <= _MOST_RANK


def _is_alpha(value: Any) -> bool:
    return type(value) in (int, float) and isfinite(value) and 0 < value <= _MOST_ALPHA


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MOST_CHARACTERS and _NAME.fullmatch(value) is not None


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= _MOST_NAMES and all(map(_is_name, value))


def _is_pattern(of: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a check of {name of a layer: value}; peft takes such names for regular expressions."""
    return lambda value: (
        value is None
        or (
            isinstance(value, dict)
            and len(value) <= _MOST_NAMES
            and all(map(_is_name, value))
            and all(map(of, value.values()))
        )
    )


def _is_bool(value: Any) -> bool:
    return type(value) is bool


_FIELDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "r": (f"a whole number from 1 to {_MOST_RANK}", _is_rank),
    "lora_alpha": (f"a number above 0, at most {_MOST_ALPHA:g}", _is_alpha),
    "target_modules": ("a list of names of layers (no patterns)", _are_names),
    "rank_pattern": ("names of layers (no patterns) with a rank each", _is_pattern(_is_rank)),
    "alpha_pattern": ("names of layers (no patterns) with a number above 0 each", _is_pattern(_is_alpha)),
    "use_rslora": ("true or false", _is_bool),
    "use_dora": ("true or false", _is_bool),
}
"""Field -> (rule, whether a value keeps it)."""


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
