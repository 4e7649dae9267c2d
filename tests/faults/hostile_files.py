"""Contents of files that do something, or take everything, when they are read carelessly."""

import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEEP = "[" * 200_000


class Runs:
    """Pickled as a call that makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


CALL = "cposix\nsystem\n(S'touch {}'\ntR."
EVAL = 'c__builtin__\neval\n(S\'__import__("os").system("touch {}")\'\ntR.'
LISTS: dict[str, Callable[[Path], bytes]] = {
    "a call": lambda marker: pickle.dumps(Runs(marker)),
    "a call, oldest form": lambda marker: CALL.format(marker).encode(),
    "eval": lambda marker: EVAL.format(marker).encode(),
    "an object of its own": lambda marker: f"(S'touch {marker}'\niposix\nsystem\n.".encode(),
    "a member of a member": lambda marker: b"\x80\x04\x8c\x05torch\x8c\x0ahub.os.sys\x93.",
    "a name put together": lambda marker: b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
    "the extension registry": lambda marker: b"\x80\x02\x82\x01.",
    "one memo": lambda marker: b"\x80\x02K\x01r\0\0\0\x18.",
    "a text of 2^60 bytes": lambda marker: b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"x.",
    "deep lists": lambda marker: b"\x80\x02" + b"](" * 50_000 + b"e" * 50_000 + b".",
    "nothing": lambda marker: b"",
}
"""Pickles, each of which would make the marker it is given, or take memory without bound."""

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
CONFIGS = {
    "the environment": 'samples: {prompts: ["${oc.env:A_SECRET}"]}',
    "a class of Python": "a: !!python/object/apply:os.system ['touch MARKER']",
    "a module of Python": "a: !!python/module:os",
    "aliases": LAUGHS,
    "nesting": "a: " + "[" * 100_000,
    "digits": "trainer: {max_steps: " + "9" * 5000 + "}",
}


def shared_lists() -> bytes:
    found: list[Any] = [1] * 10
    for _ in range(8):
        found = [found] * 10
    return pickle.dumps({"token": found, "label": [1], "id": 0})
