"""JSON that a stranger may have written: read within bounds, and whatever is wrong with it is said in one line.

Refused, beside what no JSON parser takes: a name twice in one object, NaN and Infinity, numbers that fit into no 64
bits, text that no file can hold (half a surrogate pair), nesting without end, files beyond any use.
"""

import json
import re
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any

from xllmx.store.access import StoreError
from xllmx.store.address import Address, Location, location_of

MOST_BYTES = 256 * 2**20
"""Of one file; the record of a million clips has about 100 MB."""

MOST_DEPTH = 64
"""Lists and objects within each other; an honest file has fewer than ten."""

REMEDY = "copy or download it again"

_SHOWN = 40
_UTF8, _MARK = "utf-8-sig", "\ufeff"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_LEAST, _MOST = -(2**63), 2**64 - 1


def read_json(path: Location | str, *, remedy: str = REMEDY, most_bytes: int = MOST_BYTES, finite: bool = True) -> Any:
    """Return what a JSON file holds; `finite` False lets NaN and Infinity stand in it, as our own logs have them.

    Raises:
        ValueError: it is no file, too large, no UTF-8 or refused as `parse_json` refuses it; names the file, the place
            and the `remedy`.
    """
    return parse_json(read_text(path, remedy=remedy, most_bytes=most_bytes), str(path), remedy=remedy, finite=finite)


def read_object(path: Location | str, *, remedy: str = REMEDY, finite: bool = True) -> dict[str, Any]:
    """Return the object a JSON file holds; ValueError as `read_json`, or where it holds something else."""
    content = read_json(path, remedy=remedy, finite=finite)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a JSON {_kind(content)}, not an object; {remedy}")
    return content


def read_text(path: Location | str, *, remedy: str = REMEDY, most_bytes: int = MOST_BYTES) -> str:
    """Return the text of a UTF-8 file (a byte order mark is left out); ValueError that names the file and `remedy`."""
    path = location_of(path)
    try:
        if isinstance(path, Address):
            return _text_in_store(path, remedy=remedy, most_bytes=most_bytes)
        _check_size(path, remedy=remedy, most_bytes=most_bytes)
        return path.read_text(encoding=_UTF8)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); {remedy}") from error
    except StoreError:
        raise
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); {remedy}") from error


def lines_of_file(path: Path, *, remedy: str = REMEDY, most_bytes: int = MOST_BYTES) -> Iterator[tuple[int, str]]:
    """Yield the `filled_lines` of a file of JSON lines `without_cut_line`; one at a time is held.

    Raises:
        ValueError: as `read_text`, once a line is come to that is no UTF-8.
    """
    try:
        _check_size(path, remedy=remedy, most_bytes=most_bytes)
        with path.open(encoding=_UTF8) as file:
            for number, line in enumerate(file, 1):
                if not line.endswith("\n") and not line.rstrip().endswith("}"):
                    return
                if stripped := line.strip():
                    yield number, stripped
    except (UnicodeDecodeError, OSError):
        read_text(path, remedy=remedy, most_bytes=most_bytes)  # says it, with the place in the file
        raise


def _check_size(path: Path, *, remedy: str, most_bytes: int) -> None:
    if not path.is_file():  # a pipe or a device would be read without end
        what = "a folder, a pipe or a device" if path.exists() else "No such file or directory"
        raise ValueError(f"{path} is no file ({what}); {remedy}")
    if (size := path.stat().st_size) > most_bytes:
        raise ValueError(f"{path} has {size} bytes where at most {most_bytes} are read; {remedy}")


def _text_in_store(address: Address, *, remedy: str, most_bytes: int) -> str:
    if (size := int(address.info().get("size") or 0)) > most_bytes:
        raise ValueError(f"{address} has {size} bytes where at most {most_bytes} are read; {remedy}")
    return address.read_text(encoding="utf-8-sig")


def parse_json(text: str | bytes, where: str, *, remedy: str = REMEDY, finite: bool = True) -> Any:
    """Return the value of a JSON text; `finite` as in `read_json`.

    Raises:
        ValueError: it is none, or breaks a rule of this file's head; `where` and the `remedy` are said.
    """
    try:
        if isinstance(text, bytes):  # json would take UTF-16 and UTF-32 too
            text = text.decode("utf-8-sig")
        if text.startswith(_MARK):
            raise json.JSONDecodeError("Unexpected UTF-8 BOM (decode using utf-8-sig)", text, 0)
        content = (_FINITE if finite else _ANY).decode(text)
        _check(content, finite=finite)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"{where} is not valid JSON ({error.msg}: {place}); {remedy}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{where} is not UTF-8 text ({error.reason} at byte {error.start}); {remedy}") from error
    except RecursionError:
        raise ValueError(f"{where} is not valid JSON (more than {MOST_DEPTH} levels); {remedy}") from None
    except ValueError as error:
        reason = "a number of thousands of digits" if "integer string conversion" in str(error) else str(error)
        raise ValueError(f"{where} is not valid JSON ({reason}); {remedy}") from error
    return content


def json_lines(text: str, where: str, *, remedy: str = REMEDY, finite: bool = True) -> Iterator[tuple[int, Any]]:
    """Yield (line number from 1, value) of the lines that hold something; only a newline ends a line.

    Raises:
        ValueError: as `parse_json`, naming the line.
    """
    for number, line in filled_lines(text):
        yield number, parse_json(line, f"{where}, line {number}", remedy=remedy, finite=finite)


def without_cut_line(text: str) -> str:
    """Return JSON lines without the last one if a kill cut it: it neither ends in a newline nor in a brace."""
    whole, newline, last = text.rpartition("\n")
    return text if last.rstrip().endswith("}") else whole + newline


def filled_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without the space around it) of the lines that hold something.

    Only a newline ends a line, as in every editor: `str.splitlines` would also cut a text at U+2028 and its like.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if stripped := line.strip():
            yield number, stripped


def unwritable(text: str) -> str | None:
    """Return what in a text no file can hold, or no program reads: half a surrogate pair, a NUL; None if nothing."""
    if _LONE_SURROGATE.search(text):
        return f"the text {_shown(text)} holds half a character (a lone surrogate, or a byte that is no UTF-8)"
    return f"the text {_shown(text)} holds a NUL character" if "\0" in text else None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the name {_shown(name)} stands twice in one object")
            seen.add(name)
    return made


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


_FINITE = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
_ANY = json.JSONDecoder(object_pairs_hook=_object)
"""Made once: to make one takes as long as a line of a list."""


def _check(content: Any, *, finite: bool) -> None:
    """Raise ValueError for nesting, numbers or text that are refused."""
    level: list[Any] = [content]
    for _ in range(MOST_DEPTH):
        level = _inside(level, finite=finite)
        if not level:
            return
    raise ValueError(f"more than {MOST_DEPTH} levels")


def _inside(values: list[Any], *, finite: bool) -> list[Any]:
    """Return what the lists and objects among the values hold; ValueError for one of the others that is refused."""
    found: list[Any] = []
    for value in values:
        kind = type(value)
        if kind is dict:
            found += value.keys()
            found += value.values()
        elif kind is list:
            found += value
        elif kind is str and not value.isascii() and _LONE_SURROGATE.search(value):
            raise ValueError(f"the text {_shown(value)} holds half a character (a lone surrogate)")
        elif kind is int and not _LEAST <= value <= _MOST:
            raise ValueError("a whole number that does not fit into 64 bits")
        elif kind is float and finite and not isfinite(value):
            raise ValueError("a number too large for 64 bits")
    return found


def _kind(content: Any) -> str:
    return "list" if isinstance(content, list) else "null" if content is None else type(content).__name__


def _shown(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
