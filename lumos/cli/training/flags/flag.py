"""A flag of a released training script: what it takes, and the setting that it is here."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Takes = Literal["nothing", "number", "numbers", "counts", "text", "list"]
"""What a flag takes; numbers, counts and a list are one word ([a, b]) or several, and the numbers must be the same."""


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag: what it takes, the setting it becomes, or why it becomes none."""

    takes: Takes = "nothing"
    """What stands behind it."""
    key: str | None = None
    """The setting that its value becomes."""
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """In place of `key`: each value it may have (empty for a switch) -> settings, as key=value."""
    read: Callable[[str], Sequence[str]] | None = None
    """In place of `key`: makes the settings, as key=value, of its value; ValueError for a value it cannot have."""
    refused: str = ""
    """Why it is an error, and what to do instead."""
    why: str = ""
    """What is said where it becomes no setting, or not alone."""
    needs: str = ""
    """Another flag, perhaps with its value, without which it has no part."""
    without: str = ""
    """Another flag, with which it has no part."""


def number(key: str, *, needs: str = "", why: str = "") -> Flag:
    """Return a flag with a number, which becomes the setting."""
    return Flag(takes="number", key=key, needs=needs, why=why)


def text(key: str, *, needs: str = "") -> Flag:
    """Return a flag with text, which becomes the setting."""
    return Flag(takes="text", key=key, needs=needs)


def several(key: str, *, needs: str = "") -> Flag:
    """Return a flag with one or several words, which become the setting."""
    return Flag(takes="list", key=key, needs=needs)


def switch(*settings: str, why: str = "") -> Flag:
    """Return a flag without a value: these settings."""
    return Flag(values={"": settings}, why=why)


def choice(values: Mapping[str, Sequence[str]], *, why: str = "", without: str = "") -> Flag:
    """Return a flag with one of these values, each with its settings."""
    return Flag(takes="text", values=values, why=why, without=without)


def nothing(why: str, takes: Takes = "nothing") -> Flag:
    """Return a flag that becomes no setting, and why."""
    return Flag(takes=takes, why=why)


def in_yaml(value: Any) -> str:
    """Return a value as YAML reads it: JSON, but for its pairs of escapes, of which YAML makes two halves.

    >>> print(in_yaml(["\U0001f600", 2]))
    ["\U0001f600", 2]
    """
    text = json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in text)
