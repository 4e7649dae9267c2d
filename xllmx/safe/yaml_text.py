"""YAML that a stranger may have written: plain values, nothing looked up elsewhere, within bounds.

Refused, beside what YAML itself refuses: `${...}` (OmegaConf would put other settings there, or what stands in the
environment, and with it a secret into a run's folder), tags of other types, aliases that spell more than the file has,
nesting without end, numbers of hundreds of digits.
"""

import io
import re
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from xllmx.safe.json_text import read_json, read_text

_MOST_BYTES = 2**20
_MOST_DEPTH = 50
_MOST_VALUES = 100_000
_MOST_DIGITS = 60

_NUMBER = re.compile(r"[-+]?[0-9][0-9a-zA-Z_:.]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq")}

REMEDY = "correct the file"


def read_yaml(path: Path | str, *, remedy: str = REMEDY) -> Any:
    """Return what a YAML or JSON file holds, as lists, dicts and plain values.

    Raises:
        ValueError: it is no file, or refused as `parse_yaml` refuses it; names the file.
    """
    if Path(path).suffix == ".json":
        return read_json(path, remedy=remedy)
    return parse_yaml(read_text(path, remedy=remedy, most_bytes=_MOST_BYTES), str(path), remedy=remedy)


def parse_yaml(text: str, where: str, *, remedy: str = REMEDY) -> Any:
    """Return the value of a YAML text; an empty one is {}.

    Raises:
        ValueError: it is none, or breaks a rule of this file's head; `where` and the `remedy` are said.
    """
    check_yaml(text, where, remedy=remedy)
    try:
        return OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=False)
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, OSError, RecursionError) as error:
        raise ValueError(f"{where} is not valid YAML ({' '.join(str(error).split())}); {remedy}") from error


def check_yaml(text: str, where: str, *, remedy: str = REMEDY) -> None:
    """Look through a YAML text before it is read; ValueError as `parse_yaml`."""
    try:
        _check_events(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{where} is not valid YAML ({' '.join(str(error).split())}); {remedy}") from error


def refuse_lookups(text: str, where: str) -> None:
    """Raise ValueError where a text of settings has a place for something from elsewhere."""
    if "${" in text:
        raise ValueError(
            f"{where} holds {text[text.index('${') :][:60]!r}: settings are not looked up in others or in the "
            "environment; write the value itself"
        )


def _check_events(text: str) -> None:
    """Raise ValueError for what is refused; the number of values is that of the text with its aliases written out."""
    sizes: list[int] = [0]
    names: list[str | None] = [None]
    known: dict[str, int] = {}
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            sizes[-1] += known.get(event.anchor, 0) + 1
        elif isinstance(event, yaml.ScalarEvent):
            _check_scalar(event)
            sizes[-1] += 1
            known |= {event.anchor: 1} if event.anchor else {}
        elif isinstance(event, yaml.CollectionStartEvent):
            _check_tag(event.tag)
            sizes.append(1)
            names.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            size, name = sizes.pop(), names.pop()
            sizes[-1] += size
            known |= {name: size} if name else {}
        if len(sizes) > _MOST_DEPTH:
            raise ValueError(f"more than {_MOST_DEPTH} levels")
        if sizes[-1] > _MOST_VALUES:
            raise ValueError(f"more than {_MOST_VALUES} values")


def _check_scalar(event: yaml.ScalarEvent) -> None:
    _check_tag(event.tag)
    refuse_lookups(event.value, "it")
    if _SURROGATE.search(event.value):
        raise ValueError("a text holds half a character (a lone surrogate)")
    if event.implicit[0] and len(event.value) > _MOST_DIGITS and _NUMBER.fullmatch(event.value):
        raise ValueError(f"a number of more than {_MOST_DIGITS} digits")


def _check_tag(tag: str | None) -> None:
    if tag is not None and tag not in _TAGS:
        raise ValueError(f"a value of type {tag[:60]}")
