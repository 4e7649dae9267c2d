"""Errors about settings: every caller can repeat one under the name the user typed; and what an unknown name meant."""

import difflib
from collections.abc import Iterable
from typing import Any

_FEW = 12
_SHOWN = 60


class SettingError(ValueError):
    """An error that reads `name fault`: "num_inference_steps is 0; it must be a whole number of at least 1"."""

    def __init__(self, name: str, fault: str) -> None:
        super().__init__(f"{name} {fault}")
        self.name, self.fault = name, fault

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.fault)  # as it is said in another process


def suggestion(word: str, known: Iterable[str], *, prefix: str = "") -> str:
    """What to say of an unknown word: the known one it was probably meant to be, and all of them if they are few.

    >>> suggestion("hight", ["width", "height"], prefix="--")
    'did you mean --height? known are --width, --height'
    >>> suggestion("colour", ["width", "height"])
    'known are width, height'
    """
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    asked = [f"did you mean {prefix}{near[0]}?"] if near else []
    listed = [f"known are {', '.join(prefix + name for name in names)}"] if not near or len(names) <= _FEW else []
    return " ".join(asked + listed)


def whole_number(name: str, value: Any, *, most: int = 10**9) -> int:
    """A setting that counts something, as an int from 1 to `most`: 24 of 24 and of 24.0.

    Raises:
        SettingError: it is another number, or none.
    """
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = 0
    if number < 1 or number != value or isinstance(value, bool | str):
        raise SettingError(name, f"is {shown(value)}; it must be a whole number of at least 1")
    if number > most:
        raise SettingError(name, f"is {shown(value)}; it must be at most {most}")
    return number


def shown(value: object) -> str:
    """A value as an error shows it, in one line that is not long.

    >>> shown(-1), shown("a" * 100)
    ('-1', "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...")
    """
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python writes out no number of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
