"""Arguments of what a user calls from Python, checked against their annotations before anything is done with them.

@checked_types
def write_video(path: str | Path, frames: UInt8[np.ndarray, "F H W 3"], *, fps: float) -> None: ...

write_video("a.mp4", None, fps=6)   # ValueError: frames is None; it must be UInt8[ndarray, 'F H W 3']
"""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

import numpy as np
from jaxtyping import jaxtyped

from xllmx.settings.setting import SettingError, shown

P = ParamSpec("P")
R = TypeVar("R")


def checked_types(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function with its arguments checked: ValueError that names the argument, its value and its types.

    Numbers of all kinds pass for each other: whether one is whole and in its range is said by the function, as is which
    shapes belong together.
    """
    signature = inspect.signature(function)
    hints = {name: hint for name, hint in function.__annotations__.items() if not isinstance(hint, str)}

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs)  # TypeError for what there is no argument for, as Python has it
        for name, value in given.arguments.items():
            if signature.parameters[name].kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):
                check_type(name, value, hints.get(name, Any))
        return function(*args, **kwargs)

    return checked


def check_type(name: str, value: Any, hint: Any) -> None:
    """Raise ValueError where a value is not of the type of an annotation."""
    if not is_of(value, hint):
        raise SettingError(name, f"is {shown(value)}; it must be {_worded(hint)}")


def is_of(value: Any, hint: Any) -> bool:
    """Whether a value is what an annotation says; of lists and tuples every item is looked at, of mappings none."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is typing.Annotated:
        return is_of(value, inner[0])
    if origin in (Union, types.UnionType):
        return any(is_of(value, one) for one in inner)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if hint in (int, float):
        return isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    if isinstance(origin, type) and issubclass(origin, Sequence) and not issubclass(origin, str):
        listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        return listed and _items_are_of(value, origin, inner)
    if origin is not None:
        return isinstance(value, origin) if isinstance(origin, type) else True
    if hint is None:
        return value is None
    if hint is Any or getattr(hint, "_is_protocol", False) or not isinstance(hint, type):
        return True
    with jaxtyped("context"):  # apart from the axes of a caller that jaxtyping checks, which may call with other sizes
        return isinstance(value, hint)


def _items_are_of(value: Sequence[Any], origin: type, inner: tuple[Any, ...]) -> bool:
    if origin is tuple and inner and inner[-1] is not Ellipsis:
        return len(value) == len(inner) and all(map(is_of, value, inner))
    return not inner or all(is_of(item, inner[0]) for item in value)


def _worded(hint: Any) -> str:
    """An annotation as one would say it: `str, Path or None`."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is typing.Annotated:
        return _worded(inner[0])
    if origin in (Union, types.UnionType):
        *first, last = (_worded(one) for one in inner)
        return f"{', '.join(first)} or {last}"
    if hint in (None, type(None)):
        return "None"
    if hint in (str, Path, int, float, bool):
        return {str: "a text", Path: "a path", int: "a whole number", float: "a number", bool: "True or False"}[hint]
    return getattr(hint, "__name__", str(hint)) if isinstance(hint, type) else str(hint).replace("collections.abc.", "")
