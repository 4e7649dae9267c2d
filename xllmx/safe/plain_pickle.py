"""Pickles that a stranger may have written: bounded before they are read, and read into plain values only.

A pickle is a program for a stack machine. Its instructions are looked at first, and none is run: only those that plain
values and a few named classes need may stand there, and none may ask for more memory than the file has bytes (a memo
index does: 9 bytes can ask for gigabytes). Where a key of a dict could be one that takes for ever to hash, all of it is
rehearsed (`pickle_rehearsal`). Then they run, and a name they ask for has to be on a list.
"""

import io
import pickle
import pickletools
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import Any

from xllmx.safe.pickle_rehearsal import Rehearsal

MOST_BYTES = 64 * 2**20
"""Of one pickle; the metadata of a checkpoint with 10,000 pieces has about 2 MB."""

_MOST_DEPTH = 64
_MOST_VALUES_PER_BYTE = 16
"""Lists that name each other spell more values than the file has bytes; honest ones hold one list twice or so."""

_MOST_LONG_BYTES = 16
_NUMBER = re.compile(rb"-?\d{1,20}L?\n")
"""Whole numbers, in bytes and in digits; the magic number of torch has 10 bytes."""

_HOLDERS = {dict, list, tuple}
_PLAIN = _HOLDERS | {str, int, float, bool, type(None)}

_NO_ARGUMENT = (
    "MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE "
    "EMPTY_DICT DICT SETITEM SETITEMS MEMOIZE REDUCE NEWOBJ BINPERSID"
)
_NOTED = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "BUILD")
"""Without an argument too; whether they stand there is of interest."""
_FIXED = {"BININT1": 1, "BININT2": 2, "BININT": 4, "BINFLOAT": 8, "BINPUT": 1, "BINGET": 1, "LONG_BINGET": 4}
_FIXED |= {"PROTO": 1, "FRAME": 8}
_COUNTED = {"BINSTRING": "<i", "SHORT_BINSTRING": "<B", "BINUNICODE": "<I", "SHORT_BINUNICODE": "<B"}
_COUNTED |= {"BINUNICODE8": "<Q", "BINBYTES": "<I", "SHORT_BINBYTES": "<B", "BINBYTES8": "<Q"}
_BYTES = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_COUNTED |= {"LONG1": "<B", "LONG4": "<i"}
_OF_HARD_KEYS = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "LONG1", "LONG4"}
"""The instructions without which no key takes long to hash."""
_LINES = {"INT": 1, "LONG": 1, "FLOAT": 1, "STRING": 1, "UNICODE": 1, "PUT": 1, "GET": 1, "GLOBAL": 2}
"""The instructions that may stand in a pickle: without an argument, with one of so many bytes, with one whose length
comes before it in that format, with one of so many lines. Sets, buffers and the extension registry are not among them.
"""

_CODE = {opcode.name: opcode.code.encode("latin-1") for opcode in pickletools.opcodes}
_NAME = {code: name for name, code in _CODE.items()}
_SHORT = re.compile(
    b"(?:["
    + re.escape(b"".join(_CODE[name] for name in _NO_ARGUMENT.split()))
    + b"]|"
    + b"|".join(re.escape(_CODE[name]) + b".{%d}" % length for name, length in _FIXED.items())
    + b")*+",
    re.DOTALL,
)
"""A run of instructions that say nothing of lengths: a list of ints is one such run."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a look through a pickle found."""

    end: int
    """Where it ends."""
    names: frozenset[str]
    """What it asks for, as module.name, where that is written out in one instruction."""
    computed: bool
    """Whether it asks for more, by names that other instructions put together (as Python itself does since 3.8)."""
    builds: bool
    """Whether it changes objects that it has made (BUILD)."""
    instruction_bytes: int
    """How long it is without the byte strings that it holds."""


def check_pickle(content: bytes | mmap, start: int = 0, *, most_bytes: int = MOST_BYTES) -> Seen:
    """Look through the instructions of the pickle that begins at `start`; return what was seen.

    Raises:
        ValueError: it is cut, too large, holds an instruction that is refused, or keys that no honest file has.
    """
    names: set[str] = set()
    kinds: set[str] = set()
    place, in_strings = start, 0
    while True:
        run = _SHORT.match(content, place)
        assert run is not None
        place = run.end()
        if place - start > most_bytes:
            raise ValueError(f"it has more than {most_bytes} bytes")
        code = content[place : place + 1]
        if not code:
            raise ValueError("it is cut short")
        place += 1
        name = _NAME.get(code, repr(code))
        if name == "STOP":
            break
        kinds.add(name)
        end = _behind(content, place, name, most_index=place - start)
        if name == "GLOBAL":
            names.add(".".join(content[place : end - 1].decode("latin-1").split("\n")))
        in_strings += end - place if name in _BYTES else 0
        place = end
    if kinds & _OF_HARD_KEYS:
        Rehearsal(content[start:place]).rehearse()
    length = place - start - in_strings
    computed, builds = "STACK_GLOBAL" in kinds, "BUILD" in kinds
    return Seen(end=place, names=frozenset(names), computed=computed, builds=builds, instruction_bytes=length)


def read_pickle(
    content: bytes, known: Mapping[tuple[str, str], Any] | None = None, *, most_bytes: int = MOST_BYTES
) -> Any:
    """Return the value of a pickle, made of plain values and of what `known` holds for the names it asks for.

    Args:
        content: the pickle.
        known: (module, name) -> what stands for it; None: no name is known.
        most_bytes: of the pickle.

    Raises:
        ValueError: it is refused by `check_pickle`, asks for another name, or is damaged.
    """
    check_pickle(content, most_bytes=most_bytes)
    try:
        return _Unpickler(content, known or {}).load()
    except Exception as error:  # hostile bytes may raise anything
        reason = " ".join(str(error).split())[:200]
        if not isinstance(error, pickle.UnpicklingError):
            reason = f"it is damaged: {type(error).__name__}: {reason}"
        raise ValueError(reason) from error


def read_plain(content: bytes, *, most_bytes: int = MOST_BYTES) -> Any:
    """Return the value of a pickle, of at most `most_bytes`, of numbers, strings, None, lists, tuples, dicts of them.

    Raises:
        ValueError: it holds anything else, is nested without end, or spells far more values than it has bytes.
    """
    value = read_pickle(content, most_bytes=most_bytes)
    check_plain(value, most_values=_MOST_VALUES_PER_BYTE * len(content))
    return value


def check_plain(value: Any, *, most_values: int) -> None:
    """Raise ValueError unless `value` is plain; one that stands in several places counts as often."""
    level, left = [[value]], most_values
    for _ in range(_MOST_DEPTH):
        below: list[Any] = []
        for holder in level:
            values = [*holder, *holder.values()] if isinstance(holder, dict) else holder
            left -= len(values)
            if left < 0:
                raise ValueError(f"it spells more than {most_values} values")
            kinds = set(map(type, values))
            if other := kinds - _PLAIN:
                raise ValueError(f"it holds a {other.pop().__name__}")
            if kinds & _HOLDERS:
                below += [value for value in values if type(value) in _HOLDERS]
        if not below:
            return
        level = below
    raise ValueError(f"its lists are nested more than {_MOST_DEPTH} deep")


class _Unpickler(pickle.Unpickler):
    def __init__(self, content: bytes, known: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(io.BytesIO(content))
        self._known = known

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which may not be had")
        return self._known[module, name]

    def persistent_load(self, reference: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside the file")


def _behind(content: bytes | mmap, place: int, name: str, *, most_index: int) -> int:
    """Return where the argument at `place` of the instruction `name` ends."""
    end = place
    if name == "LONG_BINPUT":
        end = place + 4
        _check_index(int.from_bytes(content[place:end], "little"), most_index)
    elif name in _COUNTED:
        end = _behind_counted(content, place, name)
    elif name in _LINES:
        for _ in range(_LINES[name]):
            end = content.find(b"\n", end) + 1 or len(content) + 1
        if name in ("INT", "LONG", "PUT", "GET"):
            line = content[place:end]
            if not _NUMBER.fullmatch(line):
                raise ValueError("it holds a whole number of too many digits")
            if name == "PUT":
                _check_index(int(line.rstrip(b"L\n")), most_index)
    elif name != "STACK_GLOBAL" and name not in _NOTED:
        raise ValueError(f"it holds the instruction {name}, which plain values do not need")
    if not place <= end <= len(content):
        raise ValueError("it is cut short")
    return end


def _behind_counted(content: bytes | mmap, place: int, name: str) -> int:
    form = _COUNTED[name]
    start = place + struct.calcsize(form)
    if start > len(content):
        raise ValueError("it is cut short")
    length = struct.unpack_from(form, content, place)[0]
    if name in ("LONG1", "LONG4") and length > _MOST_LONG_BYTES:
        raise ValueError("it holds a whole number of too many digits")
    return start + length


def _check_index(index: int, most: int) -> None:
    if not 0 <= index <= most:
        raise ValueError(f"it asks for place {index} of a memory of which {most} bytes are filled")
