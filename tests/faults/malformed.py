"""Files as they should not be, made from one as it should be: seeded, by kind of fault.

A fault of `BROKEN` leaves no file that may be read: its reader has to refuse it. One of `ODD` puts another value
somewhere in a tree: a reader refuses it or does not mind, and says what is wrong in one line.
"""

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 10**17, -(2**63), "", " ", "x", "0", "../../etc/passwd", "/dev/zero", "a" * 5000,
    "\u2028", "caf\u00e9", "\0", [], [None], [[]], [1, "x"], {}, {"a": {}}, {"": 1},
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Case:
    """One malformed file."""

    name: str
    """Kind of fault, and where."""
    put: Callable[[Path], None]
    """Makes the file, or what stands in its place."""
    broken: bool
    """Whether every reader has to refuse it."""


def _bytes(content: bytes) -> Callable[[Path], None]:
    def put(path: Path) -> None:
        path.write_bytes(content)

    return put


def _far_cut(content: bytes, rng: random.Random) -> bytes:
    """The content cut within its first half, so that no whole value is left of JSON."""
    return content[: rng.randrange(1, max(2, len(content) // 2))]


PLACES: dict[str, Callable[[Path], None]] = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a device without end": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("/nowhere/at/all"),
}
"""What may stand in the place of a file."""


def broken_files(valid: bytes, rng: random.Random) -> Iterator[Case]:
    """Yield what is no text at all: another encoding, NUL bytes, something else than a file."""
    encodings = {
        "UTF-16": valid.decode().encode("utf-16"),
        "Latin-1": b"\xe9" + valid,
        "random bytes": rng.randbytes(400) + b"\xff",
        "empty": b"",
    }
    for name, content in encodings.items():
        yield Case(name=name, put=_bytes(content), broken=True)
    for name, put in PLACES.items():
        yield Case(name=name, put=put, broken=True)


def broken_json(valid: bytes, rng: random.Random) -> Iterator[Case]:
    """Yield texts that are no JSON (or JSON lines), or break the bounds of `xllmx.safe.json_text`."""
    texts = {
        "cut": _far_cut(valid.strip(), rng),
        "deep": b"[" * 200_000,
        "deep and whole": b"[" * 100 + b"]" * 100,
        "deep objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        "a number of 5,000 digits": b"[" + b"9" * 5_000 + b"]",
        "a number beyond 64 bits": b"[" + b"9" * 40 + b"]",
        "1e999": b"[1e999]",
        "NaN": b'{"a": NaN}',
        "a name twice": b'{"prompt": "a", "prompt": "b"}',
        "half a character": b'["\\ud800"]',
        "comments": b"// a\n" + valid,
        "another quote": b"{'a': 1}",
        "NUL": valid[:3] + b"\0" + valid[3:],
    }
    for name, content in texts.items():
        yield Case(name=name, put=_bytes(content), broken=True)


def odd_json(valid: Any, rng: random.Random, num: int, *, dump: Callable[[Any], bytes]) -> Iterator[Case]:
    """Yield trees with one value, key or item changed."""
    for _ in range(num):
        tree = json.loads(json.dumps(valid))
        places = list(_places(tree))
        parent, key = rng.choice(places)
        match rng.choice(("value", "value", "value", "gone", "typo", "more")):
            case "gone":
                what = f"{key!r} gone"
                del parent[key]
            case "typo" if isinstance(parent, dict) and len(key) > 2:
                what = f"{key!r} misspelt"
                parent[key[:-2] + key[-1] + key[-2]] = parent.pop(key)
            case "more" if isinstance(parent, dict):
                what = f"a key beside {key!r}"
                parent["unheard_of"] = rng.choice(ODD_VALUES)
            case _:
                value = rng.choice(ODD_VALUES)
                what = f"{key!r} is {value!r:.30}"
                parent[key] = value
        yield Case(name=what, put=_bytes(dump(tree)), broken=False)


def broken_csv(valid: bytes, rng: random.Random) -> Iterator[Case]:
    """Yield tables that are none, or have no column of the names wanted."""
    header, _, rows = valid.partition(b"\n")
    texts = {
        "no header": rows,
        "a header alone": header + b"\n",
        "another separator": valid.replace(b",", b";"),
        "a quote without end": header + b'\n"a.mp4,a caption\nb.mp4,another\n',
        "more fields than columns": header + b"\na.mp4,a caption, and more\n",
        "a column twice": b"path,text,path\na,b,c\n",
        "spaces": b"   \n\n  \n",
    }
    for name, content in texts.items():
        yield Case(name=name, put=_bytes(content), broken=True)
    odd = {
        "columns swapped": b"path,text\na caption,a.mp4\n",
        "a field of 2 MB": header + b"\n" + b"a" * 2_000_000 + b",b\n",
        "NUL": header + b"\na\0.mp4,b\n",
        "fields left out": header + b"\na.mp4\n\n,\n",
        "a home": header + b"\n~/a.png,b\n$HOME/b.png,c\n",
        "odd ends of lines": header + b"\r\na.mp4,caf\xc3\xa9 \xe2\x80\xa8 more\r\n",
        "random": header + b"\n" + bytes(rng.choice(b'abc,"\n ./') for _ in range(200)),
    }
    for name, content in odd.items():
        yield Case(name=name, put=_bytes(content), broken=False)


def broken_yaml(valid: bytes, rng: random.Random) -> Iterator[Case]:
    """Yield texts that are no YAML, or break the bounds of `xllmx.safe.yaml_text`."""
    bomb = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(8)
    )
    texts = {
        "a list": b"- a\n- b\n",
        "a word": b"word\n",
        "a tab": b"\ttrainer: 1\n",
        "a name twice": valid + valid,
        "deep": b"[" * 3_000,
        "a bomb": bomb,
        "an object of Python": b"a: !!python/object/apply:os.system ['touch /tmp/x']\n",
        "the environment": b"a: ${oc.env:HOME}\n",
        "two documents": valid + b"---\na: 1\n",
        "a bracket": valid + b"more: [1, 2\n",
        "an unknown key": valid + b"unheard_of: 1\n",
    }
    for name, content in texts.items():
        yield Case(name=name, put=_bytes(content), broken=True)


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (container, key or index) of everything in a tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key
        yield from _places(value)
