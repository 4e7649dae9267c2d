"""Folders of a store as folders of this disk: brought whole, shared by all processes, kept within bounds.

~/.cache/xllmx-store/folders/
  3f0c9a1e5b7d/s3/bucket/models/mine/     a state of s3://bucket/models/mine: named by what changes with its files
  3f0c9a1e5b7d.part/s3/bucket/...         being brought; who is killed leaves it, and the next one goes on with it
  3f0c9a1e5b7d.use                        locked by all who read that state, so that none of them loses it
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from xllmx.disk.files import writing
from xllmx.run.lock import HeldError, hold_shared, locked
from xllmx.store.access import StoreError
from xllmx.store.address import Address
from xllmx.store.local_copy import default_copies, what_is_seen

NOT_OF_A_MODEL = ("checkpoints", ".git", ".cache", ".lock")
"""Names that are left where they are, with what lies below them."""

_MOST_FILES = 10_000
_SPARE_BYTES = 64 * 2**20
_AT_ONCE = 4
_DIGITS = 12


class UnmarkedError(StoreError):
    """A folder that is not of the kind that is asked for."""


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """A file of a folder in a store, as it was listed."""

    address: Address
    name: PurePosixPath
    """From the folder on."""
    size: int
    seen: str
    """What changes with its content."""


def listed(folder: Address) -> list[ListedFile]:
    """Return the files of a folder and of those in it, in order; none where there is no such folder.

    Raises:
        StoreError: the store does not say, or there are too many for a model or a checkpoint.
    """
    found = []
    for address, info in folder.files():
        name = address.relative_to(folder)
        if address == folder or set(name.parts) & set(NOT_OF_A_MODEL):
            continue
        found.append(ListedFile(address=address, name=name, size=int(info["size"] or 0), seen=what_is_seen(info)))
    if len(found) > _MOST_FILES:
        raise StoreError(f"{folder} holds {len(found)} files, too many for a model; give the model's own folder in it")
    return sorted(found, key=lambda one: one.name)


def folder_copy(folder: Address, *, marks: Sequence[str], what: str) -> Path:
    """Return a folder of the disk with what a folder of a store holds now; it stays while this process lives.

    Args:
        folder: in the store.
        marks: names of files of which one lies in it, or in a folder in it; otherwise nothing is brought.
        what: it is to be, `a model`, for errors.

    Raises:
        StoreError: there is no such folder, it is none of that kind, it changes meanwhile, there is no room for it on
            the disk, or the store does not give it.
        WriteError: the disk is full.
    """
    files = listed(folder)
    _check(folder, files, marks=marks, what=what)
    root = default_copies().folder / "folders"
    root.mkdir(parents=True, exist_ok=True)
    state = hashlib.sha256(repr([str(folder), *((str(one.name), one.seen) for one in files)]).encode()).hexdigest()
    place = root / state[:_DIGITS]
    hold_shared(_use_of(place))
    copy = place / folder.scheme / folder.key
    if not copy.is_dir():
        remedy = "wait for it"
        with locked(root / f"{place.name}.lock", what=f"{folder} is being brought", remedy=remedy, wait=True):
            if not copy.is_dir():
                _bring(folder, files, place)
    os.utime(place)
    return copy


def _check(folder: Address, files: Sequence[ListedFile], *, marks: Sequence[str], what: str) -> None:
    if not files:
        kind = "it is a file; give the folder it lies in" if folder.is_file() else "nothing lies there"
        raise StoreError(f"{folder} is no folder: {kind}{'' if folder.is_file() else '; correct the address'}")
    depth = 2
    if not any(one.name.name in marks for one in files if len(one.name.parts) <= depth):
        raise UnmarkedError(f"{folder} is not {what}: it has no {' or '.join(marks)}; give the folder that has one")


def _bring(folder: Address, files: Sequence[ListedFile], place: Path) -> None:
    """Fill `place` through its `.part`: what lies there already is of the same state, and whole."""
    part = place.with_name(f"{place.name}.part")
    target = part / folder.scheme / folder.key
    missing = [one for one in files if not (target / one.name).is_file()]
    _check_room(folder, sum(one.size for one in missing), place)
    with (
        writing(part, kept="what has arrived is kept, and the same command goes on"),
        ThreadPoolExecutor(_AT_ONCE) as pool,
        tqdm(desc=str(folder), total=sum(one.size for one in missing), unit="B", unit_scale=True, disable=None) as bar,
    ):
        target.mkdir(parents=True, exist_ok=True)
        try:
            for size in pool.map(lambda one: _bring_file(one, target), missing):
                bar.update(size)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if listed(folder) != list(files):
        shutil.rmtree(part, ignore_errors=True)
        raise StoreError(f"{folder} changed while it was brought; run the same command again")
    part.rename(place)


def _bring_file(file: ListedFile, target: Path) -> int:
    path = target / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    growing = path.with_name(f".{path.name[:200]}.tmp")
    file.address.get(growing)
    growing.replace(path)
    return file.size


def _check_room(folder: Address, num_bytes: int, place: Path) -> None:
    """Make room for so many bytes among the copies, and see to it that the disk has it."""
    _make_room(place, num_bytes)
    free = shutil.disk_usage(place.parent).free
    if num_bytes + _SPARE_BYTES > free:
        need = f"{num_bytes / 2**30:.1f} GiB, and {place.parent} has {free / 2**30:.1f} GiB free"
        raise StoreError(f"{folder} takes {need}; make room, or let XDG_CACHE_HOME name a folder with more")


def _make_room(place: Path, num_bytes: int) -> None:
    """Remove the copies longest unused until there is room within the bounds; those in use stay."""
    states = _states(place.parent, but=place.name)
    held = sum(size for _, size, _ in states)
    for _, size, path in states:
        if held + num_bytes <= default_copies().most_bytes:
            return
        with suppress(HeldError), locked(_use_of(path), what="", remedy=""):
            shutil.rmtree(path, ignore_errors=True)
            held -= size


def _states(root: Path, *, but: str) -> list[tuple[int, int, Path]]:
    """(last use, bytes, folder) of all states but one, the longest unused first."""
    found = []
    for path in root.iterdir():
        if path.is_dir() and path.stem != but:
            with suppress(FileNotFoundError):  # another process has just removed it
                size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                found.append((path.stat().st_mtime_ns, size, path))
    return sorted(found)


def _use_of(place: Path) -> Path:
    """The file that is locked by those who read a state, or bring it."""
    return place.with_name(f"{place.stem}.use")
