"""Every setting of a training: its key, type, default and meaning, as the dataclasses and their docstrings say them."""

import ast
import dataclasses
import inspect
import textwrap
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from lumos.cli.training.run_config import RUN_CONFIGS
from xllmx.settings.number_range import ANY, Range
from xllmx.settings.setting import shown, suggestion

_WIDTH = 100
_GROUP = "a group of settings"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One key of a config."""

    key: str
    """Dotted; NAME stands for a name of the user's own."""
    type: str
    """What it takes, in words."""
    default: str | None
    """As YAML; None where it must be given."""
    meaning: str
    """One paragraph."""


def settings_of(config_class: type, *, prefix: str = "") -> Iterator[Setting]:
    """Yield every setting of a dataclass of settings, those inside it under dotted keys."""
    hints, meanings = get_type_hints(config_class, include_extras=True), field_meanings(config_class)
    for field in dataclasses.fields(config_class):
        hint, key = hints[field.name], prefix + field.name
        inner = _inner(hint)
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            yield from settings_of(hint, prefix=f"{key}.")
        elif inner is not None:
            yield Setting(key=f"{key}.NAME", type=_GROUP, default=_default(field), meaning=meanings[field.name])
            yield from settings_of(inner, prefix=f"{key}.NAME.")
        else:
            yield Setting(key=key, type=_words(hint), default=_default(field), meaning=meanings[field.name])


def field_meanings(config_class: type) -> dict[str, str]:
    """Return the docstring under each field of a dataclass, in one line; empty for a field that has none."""
    meanings = dict.fromkeys((field.name for field in dataclasses.fields(config_class)), "")
    for owner in reversed([one for one in config_class.__mro__ if dataclasses.is_dataclass(one)]):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        assert isinstance(tree, ast.ClassDef)
        for line, following in zip(tree.body, tree.body[1:], strict=False):
            if not (isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)):
                continue
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                meanings[line.target.id] = " ".join(str(following.value.value).split())
    return meanings


def report_keys(model: str, word: str) -> str:
    """Return the settings of a model's training whose key or meaning holds the word, as text for a person.

    Raises:
        ValueError: no such model, or no setting holds the word; names the nearest, and the other model's that do.
    """
    if model not in RUN_CONFIGS:
        raise ValueError(f"model is {model!r}, which is none to train; {suggestion(model, RUN_CONFIGS)}")
    known = list(settings_of(RUN_CONFIGS[model]))
    found = [one for one in known if _holds(one, word)]
    if not found:
        raise ValueError(f"no setting of {model} holds {shown(word)}; {_elsewhere(model, known, word)}")
    others = ", ".join(f"model={name}" for name in RUN_CONFIGS if name != model)
    head = f"{len(found)} of {len(known)} settings of model={model} (of another: lumos train --keys {others})"
    shown_one = next((one for one in found if one.type != _GROUP and one.default not in (None, "null")), found[0])
    use = (
        f"in a config as groups of `key: value`, on the command line as {shown_one.key}={shown_one.default or 'VALUE'}"
    )
    return "\n".join([head, use, *(line for one in found for line in ("", *_lines(one)))])


def _holds(setting: Setting, word: str) -> bool:
    """Whether a setting's key holds the word, or its meaning does; upper and lower case count alike."""
    return word.lower() in setting.key.lower() or word.lower() in setting.meaning.lower()


def _elsewhere(model: str, known: Sequence[Setting], word: str) -> str:
    for other, config_class in RUN_CONFIGS.items():
        if other != model and any(_holds(one, word) for one in settings_of(config_class)):
            return f"model={other} has one: lumos train --keys {word} model={other}"
    keys = {one.key.rpartition(".")[2]: one.key for one in known}
    near = suggestion(word.rpartition(".")[2], keys)
    return f"{near}; lumos train --keys lists all" if "did you mean" in near else "lumos train --keys lists all"


def _lines(setting: Setting) -> list[str]:
    default = "must be given" if setting.default is None else f"default {setting.default}"
    text = textwrap.wrap(setting.meaning, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    return [f"{setting.key}  ({setting.type}; {default})", *text]


def _default(field: dataclasses.Field) -> str | None:
    """Return the default of a field as YAML has it; None where there is none."""
    if field.default_factory is not dataclasses.MISSING:
        return _yaml(field.default_factory())
    return None if field.default is dataclasses.MISSING else _yaml(field.default)


def _yaml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return "''" if value == "" else str(value)


def _inner(hint: Any) -> type | None:
    """Return the dataclass that a mapping from names of the user's own leads to; None for another type."""
    items = get_args(hint)
    is_map = isinstance(get_origin(hint), type) and issubclass(get_origin(hint), Mapping)
    return items[1] if is_map and isinstance(items[1], type) and dataclasses.is_dataclass(items[1]) else None


def _words(hint: Any, declared: Range = ANY) -> str:
    """Return what a type takes, in words."""
    origin, items = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _words(items[0], next((one for one in items[1:] if isinstance(one, Range)), declared))
    if origin in (Union, types.UnionType):
        return " or ".join("null" if one is type(None) else _words(one, declared) for one in items)
    if origin is Literal:
        return " | ".join(map(str, items))
    if hint in (int, float):
        return f"{'whole number' if hint is int else 'number'} {declared}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"{{name: {_words(items[1], declared)}}}"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        one = [_words(item, declared) for item in items if item is not Ellipsis]
        return f"list of {one[0]}" if len(set(one)) == 1 else f"list of {', '.join(one)}"
    return {bool: "true | false", str: "text", Path: "path", Any: "anything"}.get(
        hint, getattr(hint, "__name__", "value")
    )
