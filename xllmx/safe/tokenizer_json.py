"""`tokenizer.json` of a stranger: looked through before the tokenizers library gets it; its failures are plain errors.

What the library itself lets pass: replacements that double a text twenty times over, expressions that try every way to
match, both of them within a file of a few hundred bytes. A failure inside it is a panic, which is no `Exception`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from xllmx.safe.json_text import parse_json, read_text

_MOST_PARTS = 64
"""Steps of normalisation, splitting, decoding and framing together; a released tokenizer has fewer than ten."""

_MOST_GROWTH = 64
"""Characters that replacements may make of one."""

_MOST_EXPRESSION = 2_000
_MANY = 10
"""Repetitions from which on they count as without end."""

_STEPS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
_REPEATED = re.compile(r"[*+]|\{(\d*)(,?)(\d*)\}")


def read_tokenizer(path: Path, *, remedy: str) -> Tokenizer:
    """Return the tokenizer of a file; it cuts and pads nothing.

    Raises:
        ValueError: it is none, or its steps have no bounds; names the file and the `remedy`.
    """
    text = read_text(path, remedy=remedy)
    what = f"{path} is not a tokenizers-library file"
    try:
        _check(parse_json(text, "its text", remedy="see its line"))
    except ValueError as error:
        raise ValueError(f"{what} ({error}); {remedy}") from error
    tokenizer: Tokenizer = _plainly(lambda: Tokenizer.from_str(text), what, remedy)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def token_ids(tokenizer: Tokenizer, text: str, *, special: bool) -> list[int]:
    """Return the ids of a text, with those of the frame around it if `special`; ValueError where it cannot be split."""
    what = f"the text {text[:60]!a} cannot be tokenized"
    encoding: Any = _plainly(lambda: tokenizer.encode(text, add_special_tokens=special), what, "use another tokenizer")
    ids: list[int] = encoding.ids
    return ids


def _plainly(call: Callable[[], Any], what: str, remedy: str) -> Any:
    """Return what a call of the library returns; ValueError for any failure, those that are no `Exception` too."""
    try:
        return call()
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{what} ({reason}); {remedy}") from error


def _check(content: Any) -> None:
    """Raise ValueError for steps that have no bounds."""
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ValueError("it has no model")
    parts = [part for step in _STEPS for part in _parts(content.get(step))]
    if len(parts) > _MOST_PARTS:
        raise ValueError(f"it has {len(parts)} steps where at most {_MOST_PARTS} are taken")
    growth = 1.0
    for part in parts:
        pattern = part.get("pattern")
        if isinstance(pattern, dict) and isinstance(pattern.get("Regex"), str):
            _check_expression(pattern["Regex"])
        if part.get("type") in ("Replace", "Prepend"):
            growth *= _growth(part)
    if growth > _MOST_GROWTH:
        raise ValueError("its replacements make a text many times as long")


def _parts(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every object with a type; nesting is bounded by the reader of JSON."""
    if isinstance(value, dict):
        if "type" in value:
            yield value
        for inside in value.values():
            yield from _parts(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _parts(inside)


def _growth(part: Mapping[str, Any]) -> float:
    """Return how many characters at most come out for one, of a step that replaces or prepends."""
    pattern, content = part.get("pattern"), part.get("content", part.get("prepend", ""))
    length = len(content) if isinstance(content, str) else 0
    plain = pattern.get("String") if isinstance(pattern, dict) else None
    if isinstance(plain, str) and plain:
        return max(1.0, length / len(plain))
    return 1.0 + length  # an expression may match nothing, at every place; what is prepended counts for one character


def _check_expression(expression: str) -> None:
    """Raise ValueError where what repeats without end stands in what repeats without end, as in (a+)+."""
    if len(expression) > _MOST_EXPRESSION:
        raise ValueError(f"an expression in it has more than {_MOST_EXPRESSION} characters")
    inner = [False]  # whether the group that is open, and those around it, hold such a repetition
    place, closed = 0, False
    while place < len(expression):
        sign = expression[place]
        repeated = _REPEATED.match(expression, place)
        if repeated and place and _is_many(repeated):
            if closed:
                raise ValueError(f"its expression {expression[:60]!a} repeats a repetition")
            inner[-1] = True
        if sign == "(":
            inner.append(False)
        closed = sign == ")" and len(inner) > 1 and inner.pop()
        inner[-1] |= closed
        place = _behind(expression, place, repeated)


def _is_many(repeated: "re.Match[str]") -> bool:
    low, comma, high = repeated[1], repeated[2], repeated[3]
    if low is None:
        return True
    return (comma == "," and not high) or int(high or low or 0) >= _MANY


def _behind(expression: str, place: int, repeated: "re.Match[str] | None") -> int:
    """Return where the next sign of an expression begins: behind an escape, a class of characters, or a repetition."""
    if repeated:
        return repeated.end()
    if expression[place] == "\\":
        return place + 2
    if expression[place] != "[":
        return place + 1
    depth, place = 1, place + 1
    while place < len(expression) and depth:
        sign = expression[place]
        depth += (sign == "[") - (sign == "]")
        place += 2 if sign == "\\" else 1
    return place
