"""What happens to files and words on their way: cut, flipped, retyped, renamed, nested without end."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 3.5, -2.5e300, float("nan"), float("inf"), 10**30, "", " ", "x", "0", "nan", "../x",
    "/etc/passwd", "~", "a" * 300, "\0", "\ud83d", "a\u2028b", "${oc.env:HOME}", "!!python/object:os.system", [], {},
    [[]], [None], {"": 0}, ["x", 1], [1, 2, 3],
)  # fmt: skip
"""Values put in the place of others."""
WORDS = (
    "nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "1e309",
    "x",
    "",
    " ",
    "10" * 20,
    "1.5",
    "[]",
    "{}",
    "null",
    "a\nb",
    "--",
    "é",
)
"""Words put in the place of an option's."""


def retyped(content: Any, rng: random.Random) -> Any:
    """Return a JSON document in which one value, at any depth, is another one, is gone or stands twice."""
    content = copy.deepcopy(content)
    places = list(_places(content))
    if not places:
        return rng.choice(VALUES)
    container, key = rng.choice(places)
    action = rng.randrange(5)
    if action == 0 and isinstance(container, dict):
        del container[key]
    elif action == 1 and isinstance(container, dict):
        container[f"{key}s"] = container.pop(key)
    elif action == 2 and isinstance(container, list):
        container.insert(key, container[key])
    else:
        container[key] = rng.choice(VALUES)
    return content


def rewritten(text: str, rng: random.Random) -> bytes:
    """Return a text file after an accident: cut, doubled, in another encoding, with bytes that are no text."""
    content = text.encode("utf-8", "surrogatepass")
    place = rng.randrange(len(content) + 1)
    accidents: list[Callable[[], bytes]] = [
        lambda: content[:place],
        lambda: content[place:],
        lambda: content[:place] + b"\0" + content[place:],
        lambda: content[:place] + b"\xff\xfe" + content[place:],
        lambda: b"\xef\xbb\xbf" + content,
        lambda: content.replace(b"\n", b"\r\n"),
        lambda: text.encode("utf-16", "surrogatepass"),
        lambda: b"",
        lambda: b"\n\n",
        lambda: content + content,
        lambda: b"[" * 100_000,
        lambda: b'{"a":' * 50_000,
        lambda: b"9" * 5_000,
        lambda: content[:place] + "\u2028".encode() + content[place:],
    ]
    return rng.choice(accidents)()


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Return a binary file after an accident: cut, bytes flipped, zeroed or doubled; the start is hit more often."""
    place = rng.randrange(len(content)) if rng.random() < 0.5 else rng.randrange(min(len(content), 200))
    span = rng.choice((1, 4, 64, 4096))
    noise = bytes(rng.randrange(256) for _ in range(min(span, 64)))
    accidents: list[Callable[[], bytes]] = [
        lambda: content[:place],
        lambda: content[:place] + noise + content[place + len(noise) :],
        lambda: content[:place] + bytes(span) + content[place + span :],
        lambda: content[:place] + content[place : place + span] + content[place:],
        lambda: content[:place] + content[place + span :],
        lambda: b"",
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n",
        lambda: b"<!DOCTYPE html><html>404</html>",
    ]
    return rng.choice(accidents)()


def written(content: Any) -> str:
    """Return a document as the laxest of writers would write it: with NaN, Infinity and lone surrogates."""
    return json.dumps(content, allow_nan=True, ensure_ascii=False)


def _places(content: Any) -> Any:
    """All (container, key) of a document."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in list(pairs):
        yield content, key
        yield from _places(value)
