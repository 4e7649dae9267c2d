"""Errors about settings: every caller can repeat one under the name the user typed; and what an unknown name meant."""

import difflib
from collections.abc import Iterable

_FEW = 12


class SettingError(ValueError):
    """An error that reads `name fault`: "num_inference_steps is 0; it must be a whole number of at least 1"."""

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
