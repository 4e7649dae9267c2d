"""Files of a store as files of this disk: for once, or kept within bounds for whoever asks next.

~/.cache/xllmx-store/3f0c...9a1e.parquet    named by its address and by what changes with its content
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from xllmx.disk.temporary import remove_stale, temporary_beside
from xllmx.store.address import Address, Location

COPIES = "xllmx-store"
"""The folder of the copies, in the user's cache."""
_MOST_BYTES = 64 * 2**30
_SHARE_OF_FREE = 0.5
_SEEN = ("ETag", "etag", "LastModified", "mtime", "updated", "generation", "blob_id", "last_commit", "size")
"""What changes with a file's content, as the stores call it."""
_LONGEST_SUFFIX = 16
_ADDRESSES: dict[str, str] = {}
"""Names of the copies that this process has asked for, with what they are copies of."""


@dataclass(frozen=True, kw_only=True)
class LocalCopies:
    """Copies of files of stores in one folder, which several processes share; those longest unused make room."""

    folder: Path
    most_bytes: int
    """Of all copies together; the one that was asked for last stays, however large it is."""

    def of(self, address: Address) -> Path:
        """Return the copy of a file, brought here now if there is none of its content.

        Raises:
            FileNotFoundError: there is no such file.
            StoreError: the store does not give it.
        """
        info = address.info()
        name = hashlib.sha256(f"{address} {what_is_seen(info)}".encode()).hexdigest()[:40]
        suffix = address.suffix if len(address.suffix) <= _LONGEST_SUFFIX else ""
        copy = self.folder / f"{name}{suffix}"
        _ADDRESSES[copy.name] = str(address)
        try:
            os.utime(copy, ns=(time.time_ns(), copy.stat().st_mtime_ns))  # used now, and not changed
            return copy
        except FileNotFoundError:
            pass
        self.folder.mkdir(parents=True, exist_ok=True)
        _tidy(self.folder)
        self._make_room(int(info.get("size") or 0))
        temporary = temporary_beside(copy)
        try:
            address.get(temporary)
            temporary.replace(copy)
        finally:
            temporary.unlink(missing_ok=True)
        return copy

    def _make_room(self, num_bytes: int) -> None:
        """Remove the copies longest unused until one of `num_bytes` fits; who has one open reads it to its end."""
        states = []
        for entry in os.scandir(self.folder):
            with suppress(FileNotFoundError):  # another process has just removed it
                if not entry.name.startswith(".") and entry.is_file():
                    states.append((entry.stat().st_atime_ns, entry.stat().st_size, Path(entry.path)))
        held = sum(size for _, size, _ in states)
        for _, size, path in sorted(states):
            if held + num_bytes <= self.most_bytes:
                return
            path.unlink(missing_ok=True)
            held -= size


def what_is_seen(info: Mapping[str, Any]) -> str:
    """Return what changes with a file's content of what a store says of it."""
    return repr([str(info.get(name)) for name in _SEEN])


def kept_copy(place: Location) -> Path:
    """Return a file of a store as one of the disk, kept for later; a path is returned as it is."""
    return default_copies().of(place) if isinstance(place, Address) else place


@contextmanager
def passing_copy(address: Address) -> Iterator[Path]:
    """A context with a file of a store as one of the disk, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="store-") as folder:
        copy = Path(folder) / f"file{address.suffix}"
        address.get(copy)
        yield copy


@cache
def default_copies() -> LocalCopies:
    """Return the copies in the user's cache folder: at most 64 GiB, and half of what is free there and theirs."""
    folder = copies_folder()
    folder.mkdir(parents=True, exist_ok=True)
    held = 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another process has just removed it
            held += path.stat().st_size if path.is_file() else 0
    free = shutil.disk_usage(folder).free + held
    return LocalCopies(folder=folder, most_bytes=min(_MOST_BYTES, int(_SHARE_OF_FREE * free)))


def copies_folder() -> Path:
    """Return where these copies are, which need not be there yet."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"  # where the system has caches; no setting of ours
    return Path(home).expanduser() / COPIES


def address_of(name: str) -> str | None:
    """Return what a copy is of, by the name of its file; None of one that this process has not asked for."""
    return _ADDRESSES.get(name)


@cache
def _tidy(folder: Path) -> None:
    remove_stale(folder)
