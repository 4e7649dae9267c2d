"""Settings: frozen dataclasses, filled from their defaults, then a YAML file, then `key=value` words.

The dataclass is the schema: every key is checked against its fields, every value against its type, so a
typing error stops the run before it costs anything.
"""

import dataclasses
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from xllmx.disk.files import write_text
from xllmx.safe.yaml_text import check_yaml, read_yaml, refuse_lookups
from xllmx.settings.setting import SettingError, shown, suggestion
from xllmx.store.address import Location, location_of

Config = TypeVar("Config")

_MOST_PARTS = 20
_SHOWN = 60
"""Characters shown of an unknown key: YAML takes the whole text of some files for one key."""


def load_config(cls: type[Config], path: Path | str | None = None, overrides: Sequence[str] = ()) -> Config:
    """Return an instance of the dataclass `cls`: its defaults, then the YAML file, then the overrides.

    Args:
        cls: a dataclass, possibly with dataclasses as fields (keys are then dotted: `optim.lr=1e-4`).
        path: a YAML file whose keys are fields of `cls`; None for none.
        overrides: words of the form `key=value`, the value in YAML notation; a mapping given here is merged key by key
            into the file's.

    Raises:
        ValueError: an unreadable file, an unknown key (with the nearest known one), a value of the wrong type, a
            required setting left out, or a rule of the dataclass's own `__post_init__`.
    """
    where = "cannot read the settings" if path is None else f"cannot read the settings of {path}"
    try:
        tree = {} if path is None else read_yaml(_existing(Path(path)))
    except NotFoundError:
        raise
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if not isinstance(tree, Mapping):
        raise ValueError(f"{path} holds a list at the top; settings are `key: value` lines")
    for word in overrides:
        _check_word(word)
    try:
        merged = OmegaConf.merge(OmegaConf.create(dict(tree)), OmegaConf.from_dotlist(list(overrides)))
        data = OmegaConf.to_container(merged, resolve=False)
    except (OmegaConfBaseException, YAMLError, ValueError, LookupError, TypeError) as error:
        words = f" with {shown(' '.join(overrides))}" if overrides else ""
        raise ValueError(f"{where}{words}: {' '.join(str(error).split())}") from error
    try:
        return cast(Config, _build(cls, cast(Mapping, data), ""))
    except SettingError as error:  # a number outside its range
        example = _example_at(cls, error.name)
        raise SettingError(error.name, f"{error.fault}{example and f', for example {example}'}") from error


def save_config(config: Any, path: Location | str) -> None:
    """Write the dataclass as YAML that `load_config` reads back to an equal one."""
    write_text(location_of(path), OmegaConf.to_yaml(OmegaConf.create(to_plain(config))))


def to_plain(value: Any) -> Any:
    """Return the value with dataclasses as dicts, paths as text, tuples as lists: what YAML and JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


class NotFoundError(ValueError):
    """There is no such file of settings; a folder is none."""


def _check_word(word: str) -> None:
    """Raise ValueError for an override that is none, or whose value is refused (`xllmx.safe.yaml_text`)."""
    key, equals, value = word.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"override {shown(word)} is not of the form key=value; write for example trainer.seed=1")
    if key.count(".") + key.count("[") > _MOST_PARTS:
        raise ValueError(f"override {word[:_SHOWN]!r} names a setting in more than {_MOST_PARTS} parts; see --help")
    refuse_lookups(word, f"cannot read the settings: override {shown(word)}")
    check_yaml(value, f"cannot read the settings: the value of override {shown(word)}", remedy="correct it")


def _existing(path: Path) -> Path:
    if path.is_dir():
        raise NotFoundError(f"{path} is a folder, not a file of settings; give the path of a YAML file")
    if not path.is_file():
        raise NotFoundError(f"settings file {path} does not exist; give the path of a YAML file")
    return path


def _build(cls: type, data: Mapping[Any, Any], prefix: str, base: Any = None) -> Any:
    """Return `cls` with the given values over those of `base` (or over the field defaults)."""
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for key, value in data.items():
        _check_spaced(key, value, prefix.removesuffix("."))
        if key not in fields:
            raise ValueError(_unknown(prefix, str(key), list(fields)))
    values = {}
    for key, value in data.items():
        default = getattr(base, key) if base is not None else _default(fields[key])
        values[key] = convert(hints[key], value, prefix + key, default)
    if base is not None:
        return _made(partial(dataclasses.replace, base), values, fields=fields, prefix=prefix)
    missing = [name for name, field in fields.items() if name not in values and _is_required(field)]
    if missing:
        named = ", ".join(prefix + name for name in missing)
        example = f"{prefix}{missing[0]}={_example(hints[missing[0]], None)}"
        raise ValueError(f"required setting left out: {named}; give it a value, for example {example}")
    return _made(cls, values, fields=fields, prefix=prefix)


def _made(make: Callable[..., Any], values: Mapping[str, Any], *, fields: Iterable[str], prefix: str) -> Any:
    """Return a group of settings; an error about one of them names it with the group that it is in."""
    try:
        return make(**values)
    except SettingError as error:
        if re.split(r"[.\[]", error.name)[0] not in fields:  # it has its whole name
            raise
        raise SettingError(prefix + error.name, error.fault) from error


def _unknown(prefix: str, key: str, known: list[str]) -> str:
    return f"unknown setting {prefix}{key[:_SHOWN]}; {suggestion(key, known, prefix=prefix)}"


def _check_spaced(key: Any, value: Any, name: str) -> None:
    """Raise ValueError for `{video:4}`, which YAML takes for a key `video:4` without a value."""
    before, colon, after = str(key).partition(":")
    if value is None and colon and before and after:
        said = f"{name or 'the file'} has {shown(key)} without a value"
        raise ValueError(f"{said}; YAML wants a space behind the colon, {{{before[:_SHOWN]}: {after[:_SHOWN]}}}")


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def convert(hint: Any, value: Any, name: str, default: Any = None) -> Any:
    """Return the value as the annotated type; ValueError that names the setting for a value of another type."""
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(get_args(hint), value, name, default)
    if origin is Literal:
        return _accept(value in get_args(hint), value, name, f"one of {', '.join(map(str, get_args(hint)))}")
    if dataclasses.is_dataclass(hint):
        _accept(isinstance(value, Mapping), value, name, "a group of settings")
        return _build(cast(type, hint), value, f"{name}.", default)
    if origin is not None or hint in (list, tuple, dict):
        return _convert_container(origin or hint, get_args(hint), value, name)
    return _convert_scalar(hint, value, name, default)


def _convert_union(options: tuple[Any, ...], value: Any, name: str, default: Any) -> Any:
    if value is None and type(None) in options:
        return None
    options = tuple(option for option in options if option is not type(None))
    if len(options) == 1:
        return convert(options[0], value, name, default)
    for option in sorted(options, key=lambda option: option is not type(value)):  # an exact type first
        try:
            return convert(option, value, name, default)
        except ValueError:
            continue
    return _accept(False, value, name, " or ".join(getattr(option, "__name__", str(option)) for option in options))


def _convert_container(kind: Any, items: tuple[Any, ...], value: Any, name: str) -> Any:
    if issubclass(kind, Mapping):
        _accept(isinstance(value, Mapping), value, name, "a mapping {key: value}")
        for key, item in value.items():
            _check_spaced(key, item, name)
        key_hint, item_hint = items or (Any, Any)
        return {convert(key_hint, k, name): convert(item_hint, v, f"{name}.{k}") for k, v in value.items()}
    _accept(isinstance(value, list | tuple), value, name, "a list [a, b, ...]")
    fixed = kind is tuple and bool(items) and items[-1] is not Ellipsis
    if fixed:
        _accept(len(value) == len(items), value, name, f"a list of {len(items)} values")
    hints = items if fixed else (items[0] if items else Any,) * len(value)
    return (tuple if kind is tuple else list)(
        convert(hint, item, f"{name}[{i}]") for i, (hint, item) in enumerate(zip(hints, value, strict=True))
    )


def _convert_scalar(hint: Any, value: Any, name: str, default: Any) -> Any:
    example = f", for example {_example(hint, default)}"
    if hint is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(_accept(is_number, value, name, f"a number{example}"))
    if hint is int:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return _accept(is_whole, value, name, f"a whole number{example}")
    if hint is bool:
        return _accept(isinstance(value, bool), value, name, "true or false")
    if hint is str:
        readable = isinstance(value, str | int | float) and not isinstance(value, bool)
        return str(_accept(readable, value, name, "text"))
    if hint is Path:
        return Path(_accept(isinstance(value, str | Path), value, name, f"a path{example}"))
    return _accept(isinstance(value, hint), value, name, f"a {hint.__name__}")


_EXAMPLES = {int: "100", float: "0.5", bool: "true", Path: "runs/mine", str: "NAME"}
"""Of a type whose setting has no default."""


def _example(hint: Any, default: Any) -> str:
    """Return a value that a setting of this type could have: its default, if it has one."""
    if isinstance(default, int | float | Path) and not isinstance(default, bool):
        return str(default)
    return _EXAMPLES.get(hint, "VALUE")


def _example_at(cls: Any, key: str) -> str:
    """Return the default of a dotted key as an example; empty where there is no such key, or it has none."""
    *groups, last = key.split(".")
    for group in groups:
        cls = get_type_hints(cls).get(group) if dataclasses.is_dataclass(cls) else None
    fields = {field.name: field for field in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else {}
    default = _default(fields[last]) if last in fields else None
    return str(default) if isinstance(default, int | float) and not isinstance(default, bool) else ""


def _accept(holds: bool, value: Any, name: str, rule: str) -> Any:
    if not holds:
        raise ValueError(f"setting {name} is {value!r}; it must be {rule}")
    return value
