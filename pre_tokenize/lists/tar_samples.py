"""The samples of WebDataset tars as rows: a medium and its caption, members of one name before the first dot.

    000.tar    clips/a.mp4  clips/a.txt  clips/a.json   one row: 000.tar/clips/a.mp4, the caption of a.txt
               clips/b.mp4  clips/b.json                its caption is "caption", "text" or "prompt" of the object

Members of one sample lie next to each other. Of a sample with videos and pictures the first video is its medium.
"""

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from lumos.lumina_video.data.row_numbers import UNKNOWN_MOTION
from pre_tokenize.lists.item import MOTION_COLUMN, BlockRows, Item, Stretch, motion_of
from xllmx.safe.json_text import parse_json
from xllmx.store.access import StoreError
from xllmx.store.address import Address, Location, location_of

VIDEOS = ("mp4", "m4v", "mov", "mkv", "webm", "avi")
PICTURES = ("jpg", "jpeg", "png", "webp")
_CAPTIONS = ("caption", "text", "prompt")
_MOST_TEXT_BYTES = 2**20
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST_TARS = 1_000_000
_AT_ONCE = 16
"""Tars of a store whose heads are read at once."""
_END = bytes(tarfile.BLOCKSIZE)
_AGAIN = "copy it again, or leave it out"


@dataclass(kw_only=True)
class _Sample:
    """The members of one name."""

    key: str
    media: dict[str, tarfile.TarInfo] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)


class TarSamples(BlockRows):
    """The samples of several tars, in the order of their names; those of a few tars are in memory."""

    def __init__(self, tars: Sequence[Location]) -> None:
        """Read the heads of all members, and the captions; of a store nothing else is asked for.

        Raises:
            ValueError: a tar is cut, damaged or compressed, or there is no sample in any.
            StoreError: the store does not give it.
        """
        super().__init__()
        self._tars: list[Location] = []
        digest = hashlib.sha256()
        for tar, samples in _described(tars):
            for sample in samples:
                digest.update(sample)
            if samples:
                self._tars.append(tar)
                self._starts.append(self._num_rows)
                self._num_rows += len(samples)
        self.sha256 = digest.hexdigest()
        if not self._num_rows:
            raise ValueError(f"{tars[0]}{' and others' * (len(tars) > 1)}: there is no sample in it; {_EXPECTED}")

    def _block(self, number: int) -> list[Item]:
        tar, first = self._tars[number], self._starts[number]
        items = [_item(tar, sample, row=row) for row, sample in enumerate(_samples_of(tar), first)]
        stop = self._starts[number + 1] if number + 1 < len(self._starts) else len(self)
        if len(items) != stop - first:
            raise ValueError(f"{tar}: has changed while it was worked on; run the same command again")
        return items


def _described(tars: Sequence[Location]) -> Iterator[tuple[Location, list[bytes]]]:
    """What makes a list of its tars, tar by tar, a text a sample; several tars of a store are asked for at once."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(tars), _AT_ONCE):
            some = tars[start : start + _AT_ONCE]
            several = len(some) > 1 and isinstance(some[0], Address)
            yield from zip(some, (pool.map if several else map)(_description, some), strict=True)


def _description(tar: Location) -> list[bytes]:
    items = (_item(tar, sample, row=0) for sample in _samples_of(tar))
    told = ((tar.name, item.path, item.held.size if item.held else 0, item.text, item.motion) for item in items)
    return [repr(one).encode("utf-8", "replace") for one in told]


_EXPECTED = f"a sample is a .{' or .'.join((VIDEOS[0], PICTURES[0]))} and a .txt or .json of the same name"


def tars_of(path: Location) -> list[Location]:
    """The tars that are meant by a `.tar`, a folder of them, `clips-{000..127}.tar` or `clips-*.tar`; none by others.

    Raises:
        ValueError: one of a range is not there, none has such a name, or a tar is compressed.
        StoreError: the store does not say what there is.
    """
    if path.name.endswith((".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")):
        raise ValueError(f"--input_file {path}: a compressed tar, in which nothing can be sought; unpack it to a .tar")
    if isinstance(path, Address) and path.suffix.lower() not in (".tar", ".csv", ".parquet"):
        return [*path.glob("*.tar")]
    if isinstance(path, Path) and path.is_dir():
        return sorted(one for one in path.glob("*.tar") if one.is_file())
    if path.suffix != ".tar":
        return []
    if path.is_file():
        return [path]
    if "*" in path.name:
        found: list[Location] = [*path.parent.glob(path.name)]
        if not found:
            raise ValueError(f"--input_file {path}: no tar has such a name; correct it")
        return sorted(found, key=str)
    return _range_of(path)


def _range_of(path: Location) -> list[Location]:
    """The tars of a range, all of them there; none where none is named."""
    if (found := _RANGE.search(str(path))) is None:
        return []
    first, last = int(found[1]), int(found[2])
    if not 0 <= last - first < _MOST_TARS:
        raise ValueError(f"--input_file {path}: a range from {first} to {last}; give the smaller number first")
    texts = (str(path).replace(found[0], f"{k:0{len(found[1])}d}", 1) for k in range(first, last + 1))
    tars = [location_of(text) for text in texts]
    there = {tar for folder in {tar.parent for tar in tars} for tar in folder.glob("*.tar")}
    if missing := [tar for tar in tars if tar not in there]:
        more = f", nor are {len(missing) - 1} more of the range" if len(missing) > 1 else ""
        raise ValueError(f"--input_file {path}: {missing[0]} is not there{more}; copy it, or give another range")
    return tars


def _samples_of(tar: Location) -> Iterator[_Sample]:
    """The samples of a tar, in its order. Raises `ValueError` for a tar that is cut or damaged."""
    sample: _Sample | None = None
    for member, text in _members_of(tar):
        folder, _, name = member.name.rpartition("/")
        stem, _, ending = name.partition(".")
        key = f"{folder}/{stem}"
        if not stem:
            continue
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            sample = _Sample(key=key)
        if text is None:
            sample.media.setdefault(ending.lower(), member)
        else:
            sample.texts.setdefault(ending.lower(), text)
    if sample is not None:
        yield sample


def _members_of(tar: Location) -> Iterator[tuple[tarfile.TarInfo, bytes | None]]:
    """The members that belong to samples: media, and captions with their content."""
    try:
        with tar.open("rb") as stream:
            with _reading_heads():
                opened = tarfile.open(fileobj=cast(Any, _Bounded(stream)), mode="r:")  # noqa: SIM115
            size = stream.seek(0, os.SEEK_END)
            while True:
                with _reading_heads():
                    member = opened.next()
                if member is None:
                    break
                opened.members = []  # type: ignore[attr-defined]  # else it keeps them all
                if member.offset_data + member.size > size:
                    there = f"{member.name} needs {member.offset_data + member.size} bytes of it, and it has {size}"
                    raise ValueError(f"{tar}: is cut ({there}); {_AGAIN}")
                ending = member.name.rpartition("/")[2].partition(".")[2].lower()
                if not member.isreg() or member.issparse():
                    continue
                if ending in ("txt", "json"):
                    content = opened.extractfile(member) if member.size <= _MOST_TEXT_BYTES else None
                    yield member, content.read() if content else b""
                elif ending in VIDEOS or ending in PICTURES:
                    yield member, None
            _check_end(tar, stream, opened.offset)
    except StoreError:
        raise
    except FileNotFoundError as error:
        raise ValueError(f"--input_file {tar}: is not there; correct the name") from error
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ValueError(f"{tar}: not a whole tar ({' '.join(str(error).split())}); {_AGAIN}") from error


class _Bounded:
    """A tar of which no more is read at once than a text has: no name of gigabytes, and no list of extents."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self.seek, self.tell, self._read = stream.seek, stream.tell, stream.read

    def read(self, size: int) -> bytes:
        """Return as many bytes; `tarfile.ReadError` where they are more than a text has."""
        if not 0 <= size <= _MOST_TEXT_BYTES:
            raise tarfile.ReadError(f"a name or head of {size} bytes")
        return self._read(size)


@contextmanager
def _reading_heads() -> Iterator[None]:
    """A context in which whatever `tarfile` stumbles over in a hostile head becomes a `tarfile.ReadError`."""
    try:
        yield
    except (ValueError, RecursionError, OverflowError) as error:
        raise tarfile.ReadError(f"a damaged head: {' '.join(str(error).split())}") from error


def _check_end(tar: Location, stream: io.BufferedReader, offset: int) -> None:
    """Check that members end where the tar says that it ends: `tarfile` takes any damage for the end."""
    stream.seek(offset)
    if stream.read(tarfile.BLOCKSIZE) != _END:
        raise ValueError(f"{tar}: is cut or damaged at byte {offset}, it does not say that it ends there; {_AGAIN}")


def _item(tar: Location, sample: _Sample, *, row: int) -> Item:
    """The row of a sample; one without a medium names a file that is not there."""
    chosen = [ending for ending in (*VIDEOS, *PICTURES) if ending in sample.media]
    if not chosen:
        return Item(row=row, path=f"{tar.name}/{sample.key.lstrip('/')}", text=_caption(sample)[0])
    member = sample.media[chosen[0]]
    text, motion = _caption(sample)
    score = motion_of(motion, where=f"{tar}: {sample.key}") if motion is not None else UNKNOWN_MOTION
    held = Stretch(file=tar, start=member.offset_data, size=member.size)
    return Item(row=row, path=f"{tar.name}/{member.name}", text=text, motion=score, held=held)


def _caption(sample: _Sample) -> tuple[str, Any]:
    """The caption, empty where it cannot be read, and the motion score that the JSON says."""
    try:
        said = parse_json(sample.texts.get("json", b"{}"), "its JSON")
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    try:
        text = sample.texts["txt"].decode() if "txt" in sample.texts else None
    except UnicodeDecodeError:
        text = ""
    if text is None:
        text = next((said[name] for name in _CAPTIONS if isinstance(said.get(name), str)), "")
    return text.strip(), said.get(MOTION_COLUMN)
