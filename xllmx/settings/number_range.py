"""Which numbers a setting takes: declared in its type, checked in one place.

    lr: Annotated[float, Range(0, 1, above=True)] = 5e-5
    max_minutes: float = 0.0                                  nothing declared: 0 to 10^9

Whether a number is inside is asked, not whether it is outside: every comparison with NaN is false.
"""

import dataclasses
import math
import types
from collections.abc import Mapping, Sequence
from functools import cache
from numbers import Integral, Real
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from xllmx.settings.setting import SettingError, shown

MOST = 10**9
"""Of a number that declares nothing else."""


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers from `least` to `most`."""

    least: int | float = 0
    most: int | float = MOST
    _: dataclasses.KW_ONLY
    above: bool = False
    """Whether `least` itself is left out."""

    def holds(self, value: Any) -> bool:
        """Whether a number is in the range; NaN is in none."""
        return bool(self.least < value <= self.most if self.above else self.least <= value <= self.most)

    def __str__(self) -> str:
        lowest = f"above {self.least:g}" if self.above else f"of at least {_number(self.least)}"
        if self.most == MOST:
            return lowest
        return f"{lowest} and at most {_number(self.most)}"


ANY = Range()
COUNT = Range(1)
SHARE = Range(0, 1)
POSITIVE = Range(0, above=True)
SEED = Range(0, 2**63 - 1)


def check_numbers(config: Any, prefix: str = "") -> None:
    """Check every number, switch and list of numbers among the fields of a dataclass.

    Dataclasses inside it have checked themselves. `prefix` stands before the names in errors (`trainer.`).

    Raises:
        SettingError: one is not finite, outside its range, no whole number where one belongs, or no number.
    """
    cls: Any = type(config)
    for name, hint in _hints(cls).items():
        check_number(prefix + name, hint, getattr(config, name))


def check_number(name: str, hint: Any, value: Any, range_: Range = ANY) -> None:
    """Check a value against its annotation, as far as that speaks of numbers and switches; see `check_numbers`."""
    origin, arguments = _parts(hint)
    if origin is Annotated:
        declared = [one for one in arguments[1:] if isinstance(one, Range)]
        check_number(name, arguments[0], value, declared[0] if declared else range_)
    elif origin in (Union, types.UnionType):
        _check_union(name, arguments, value, range_)
    elif origin is Literal:
        _check_literal(name, arguments, value)
    elif isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        for key, item in value.items():
            check_number(f"{name}.{key}", arguments[1], item, range_)
    elif isinstance(origin, type) and issubclass(origin, Sequence):
        _check_items(name, hint, value, range_)
    elif hint in (bool, int, float):
        _check_scalar(name, hint, value, range_)


def _check_literal(name: str, allowed: tuple[Any, ...], value: Any) -> None:
    if not any(value == one and type(value) is type(one) for one in allowed):
        raise SettingError(name, f"is {shown(value)}; it must be one of {', '.join(map(str, allowed))}")


def _check_union(name: str, options: tuple[Any, ...], value: Any, range_: Range) -> None:
    """Check a value against the first of several kinds that it is of; a whole number is a fraction too."""
    options = _fractions_first(options)
    fitting = [option for option in options if _is_of(_bare(option), value)]
    numeric = [option for option in options if _bare(option) in (int, float)]
    for option in [*fitting, *numeric, *(option for option in options if option is not type(None))][:1]:
        check_number(name, option, value, range_)


@cache
def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the origin of an annotation and its arguments; asked once of each, as it is slow."""
    return get_origin(hint), get_args(hint)


@cache
def _fractions_first(options: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted(options, key=lambda option: _bare(option) is not float))


@cache
def _bare(option: Any) -> Any:
    return _bare(get_args(option)[0]) if get_origin(option) is Annotated else option


def _is_of(option: Any, value: Any) -> bool:
    if option in (int, float):
        return isinstance(value, Integral if option is int else Real) and not isinstance(value, bool)
    if get_origin(option) is Literal:
        return any(value == one and type(value) is type(one) for one in get_args(option))
    kind = get_origin(option) or option
    return option is Any or (isinstance(kind, type) and isinstance(value, kind))


def _check_items(name: str, hint: Any, value: Any, range_: Range) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise SettingError(name, f"is {shown(value)}; it must be a list")
    items = get_args(hint)
    fixed = get_origin(hint) is tuple and len(items) > 0 and items[-1] is not Ellipsis
    if fixed and len(items) != len(value):
        raise SettingError(name, f"is {shown(value)}; it must be a list of {len(items)}")
    for index, item in enumerate(value):
        check_number(f"{name}[{index}]", items[index if fixed else 0], item, range_)


def _check_scalar(name: str, hint: type, value: Any, range_: Range) -> None:
    if hint is bool:
        if not isinstance(value, bool):
            raise SettingError(name, f"is {shown(value)}; it must be true or false")
        return
    whole = hint is int
    kind = "whole number" if whole else "number"
    number = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
    if not number or not (isinstance(value, Integral) or math.isfinite(value)) or not range_.holds(value):
        raise SettingError(name, f"is {shown(value)}; it must be a {kind} {range_}")


@cache
def _hints(cls: Any) -> dict[str, Any]:
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def _number(value: int | float) -> str:
    return str(value) if isinstance(value, int) and abs(value) < 10**7 else f"{value:g}"
