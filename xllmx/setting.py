"""What is wrong with a setting, so that every caller can say it under the name the user gave; and the name meant."""

import difflib
from collections.abc import Iterable
from typing import Any

_FEW = 12


class SettingError(ValueError):
    """Says `name fault`, for example "num_inference_steps is 0; it must be a whole number of at least 1"."""

    def __init__(self, name: str, fault: str) -> None:
        super().__init__(f"{name} {fault}")
        self.name, self.fault = name, fault


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


def whole_number(name: str, value: Any) -> int:
    """A setting that counts something, as an int of at least 1: 24 of 24 and of 24.0.

    Raises:
        SettingError: it is another number, or none.
    """
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = 0
    if number < 1 or number != value or isinstance(value, bool | str):
        raise SettingError(name, f"is {value!r}; it must be a whole number of at least 1")
    return number
