"""What happens to files and words on their way: cut, flipped, retyped, renamed, nested without end; seeded.

Damage that is `broken` leaves nothing that may be taken: whoever reads the file has to refuse it. Other damage puts
another value somewhere: a reader refuses it or does not mind.
"""

import copy
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 1.5, 3.5, -2.5e300, float("nan"), float("inf"), 10**17, 10**30, -(2**63), "", " ",
    "x", "0", "nan", "../x", "../../etc/passwd", "/etc/passwd", "/dev/zero", "~", "a" * 300, "a" * 5000, "\0", "\ud83d",
    "caf\u00e9", "a\u2028b", "${oc.env:HOME}", "!!python/object:os.system", [], {}, [[]], [None], {"": 0}, {"a": {}},
    ["x", 1], [1, "x"], [1, 2, 3],
)  # fmt: skip
"""Values put in the place of others."""
WORDS = (
    "nan", "inf", "-inf", "-1", "0", "1", "1e309", "x", "", " ", "10" * 20, "1.5", "[]", "{}", "null", "true", "a\nb",
    "--", "é", "../x", "a" * 300, "1,2", "64x64", "0x0", "${oc.env:HOME}", "[1, 2",
    "{a: 1}", "-0", "1e3", "٣", "http:\x2f/localhost:1/x", "file:\x2f//etc/passwd", "a:b", "~",
)  # fmt: skip
"""Words put in the place of an option's; no place outside, for some of them are written to."""


@dataclass(frozen=True, kw_only=True)
class Damage:
    """Something that happened to a file."""

    name: str
    """What, and where."""
    put: Callable[[Path], None]
    """Makes the file, or what stands in its place."""
    broken: bool
    """Whether every reader has to refuse it."""


def damage(path: Path, rng: random.Random) -> Damage:
    """Damage a file in one of the ways in which its kind is damaged; return what was done."""
    content = path.read_bytes()
    match path.suffix:
        case ".json" | ".index":
            chosen = json_damage(json.loads(content), rng, dump=written)
        case ".jsonl":
            rows = [json.loads(line) for line in content.splitlines()]
            chosen = json_damage(rows, rng, dump=lambda rows: b"".join(written(row) + b"\n" for row in _listed(rows)))
        case ".csv":
            chosen = rng.choice([*_no_text(content, rng), *_csv(content, rng)])
        case ".yaml":
            chosen = rng.choice([*_no_text(content, rng), *_yaml(content)])
        case ".txt":
            chosen = rng.choice(list(_no_text(content, rng)))
        case _:
            chosen = rng.choice([*_bytes_damaged(content, rng), *_in_its_place()])
    path.unlink()
    chosen.put(path)
    return chosen


def json_damage(tree: Any, rng: random.Random, *, dump: Callable[[Any], bytes]) -> Damage:
    """Return damage to a file that holds this document: three times in five to a value, else to the text."""
    if rng.random() < 0.6:
        return _retyped(tree, rng, dump=dump)
    return rng.choice([*_no_text(dump(tree), rng), *_json(dump(tree), rng)])


def written(content: Any) -> bytes:
    """Return a document as the laxest of writers would write it: with NaN, Infinity and lone surrogates."""
    return json.dumps(content, allow_nan=True, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _retyped(tree: Any, rng: random.Random, *, dump: Callable[[Any], bytes]) -> Damage:
    """One value, key or item of a document, at any depth, changed, gone, misspelt, doubled or added."""
    tree = copy.deepcopy(tree)
    places = list(_places(tree))
    if not places:
        value = rng.choice(VALUES)
        return Damage(name=f"all is {value!r:.30}", put=_holds(dump(value)), broken=False)
    parent, key = rng.choice(places)
    match rng.choice(("value", "value", "value", "value", "gone", "typo", "more")):
        case "gone":
            what = f"{key!r} gone"
            del parent[key]
        case "typo" if isinstance(parent, dict) and len(key) > 2:
            what = f"{key!r} misspelt"
            parent[key[:-2] + key[-1] + key[-2]] = parent.pop(key)
        case "more" if isinstance(parent, dict):
            what = f"a key beside {key!r}"
            parent["unheard_of"] = rng.choice(VALUES)
        case "more":
            what = f"{key!r} twice"
            parent.insert(key, parent[key])
        case _:
            value = rng.choice(VALUES)
            what = f"{key!r} is {value!r:.30}"
            parent[key] = value
    return Damage(name=what, put=_holds(dump(tree)), broken=False)


def _no_text(content: bytes, rng: random.Random) -> Iterator[Damage]:
    """What is no text at all: another encoding, NUL bytes, something else than a file."""
    place = rng.randrange(len(content) + 1)
    texts = {
        "UTF-16": content.decode("utf-8", "replace").encode("utf-16"),
        "Latin-1": b"\xe9" + content,
        "bytes of no text within": content[:place] + b"\xff\xfe" + content[place:],
        "random bytes": rng.randbytes(400) + b"\xff",
        "empty": b"",
        "new lines": b"\n\n",
    }
    for name, text in texts.items():
        yield Damage(name=name, put=_holds(text), broken=True)
    odd = {
        "a mark of its order": b"\xef\xbb\xbf" + content,
        "lines of Windows": content.replace(b"\n", b"\r\n"),
        "a NUL": content[:place] + b"\0" + content[place:],
        "an odd end of line": content[:place] + "\u2028".encode() + content[place:],
        "twice": content + content,
        "its end": content[place:],
    }
    for name, text in odd.items():
        yield Damage(name=name, put=_holds(text), broken=False)
    yield from _in_its_place()


def _in_its_place() -> Iterator[Damage]:
    for name, put in PLACES.items():
        yield Damage(name=name, put=put, broken=True)


PLACES: dict[str, Callable[[Path], None]] = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a device without end": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("/nowhere/at/all"),
    "nothing": lambda path: None,
}
"""What may stand in the place of a file."""


def _json(valid: bytes, rng: random.Random) -> Iterator[Damage]:
    """Texts that are no JSON (or JSON lines), or break the bounds of `xllmx.safe.json_text`."""
    first = valid.strip().split(b"\n")[0]
    texts = {
        "cut": first[: rng.randrange(1, max(2, len(first) // 2))],
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
        "a word": b"word",
    }
    for name, content in texts.items():
        yield Damage(name=name, put=_holds(content), broken=True)


def _csv(valid: bytes, rng: random.Random) -> Iterator[Damage]:
    """Tables that are none, or have no column of the names wanted."""
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
        yield Damage(name=name, put=_holds(content), broken=True)
    odd = {
        "columns swapped": b"path,text\na caption,a.mp4\n",
        "a field of 2 MB": header + b"\n" + b"a" * 2_000_000 + b",b\n",
        "a NUL in a name": header + b"\na\0.mp4,b\n",
        "fields left out": header + b"\na.mp4\n\n,\n",
        "a home": header + b"\n~/a.png,b\n$HOME/b.png,c\n",
        "addresses": header + b"\nhttp://localhost:1/a.png,b\nconcat:a.mp4|b.mp4,c\n-i,d\n/dev/zero,e\n",
        "odd ends of lines": header + b"\r\na.mp4,caf\xc3\xa9 \xe2\x80\xa8 more\r\n",
        "random": header + b"\n" + bytes(rng.choice(b'abc,"\n ./') for _ in range(200)),
    }
    for name, content in odd.items():
        yield Damage(name=name, put=_holds(content), broken=False)


def _yaml(valid: bytes) -> Iterator[Damage]:
    """Texts that are no YAML, or break the bounds of `xllmx.safe.yaml_text`."""
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
        yield Damage(name=name, put=_holds(content), broken=True)


def _bytes_damaged(content: bytes, rng: random.Random) -> Iterator[Damage]:
    """Yield a binary file cut, with bytes changed (the start is hit more often), or that is something else."""
    place = rng.randrange(len(content)) if rng.random() < 0.5 else rng.randrange(min(len(content), 200))
    span = rng.choice((1, 4, 64, 4096))
    noise = rng.randbytes(min(span, 64))
    other = {
        "half of it": content[: len(content) // 2],
        "empty": b"",
        "a pointer of LFS": b"version https:\x2f/git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n",
        "a page": b"<!DOCTYPE html><html>404</html>",
        "zeros": bytes(len(content)),
    }
    for name, new in other.items():
        yield Damage(name=name, put=_holds(new), broken=True)
    odd = {
        f"cut at {place}": content[:place],
        f"noise at {place}": content[:place] + noise + content[place + len(noise) :],
        f"zeros at {place}": content[:place] + bytes(span) + content[place + span :],
        f"{span} bytes doubled at {place}": content[:place] + content[place : place + span] + content[place:],
        f"{span} bytes gone at {place}": content[:place] + content[place + span :],
    }
    for name, new in odd.items():
        yield Damage(name=name, put=_holds(new), broken=False)


def copied(source: Path, folder: Path) -> Path:
    """Return a copy of a file or folder, by the same name, in a folder."""
    target = folder / source.name
    shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return target


def any_file(folder: Path, rng: random.Random) -> Path:
    """Return one of the files under a folder."""
    return rng.choice(sorted(path for path in folder.rglob("*") if path.is_file()))


def _holds(content: bytes) -> Callable[[Path], None]:
    def put(path: Path) -> None:
        path.write_bytes(content)

    return put


def _listed(rows: Any) -> list[Any]:
    return rows if isinstance(rows, list) else [rows]


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (container, key or index) of everything in a tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key
        yield from _places(value)
