"""Whether a data set is the one it was: a hash of what lists its clips and of its files' ends; no clip is read."""

import hashlib
from pathlib import Path
from typing import Any

from lumos.media.sets.data_yaml import entries_of
from xllmx.store.address import Address, Location, location_of

_LISTS = ("index.json", "merge-record.json")
_LOOKED_INTO = 64
"""Files of a set whose ends are read, in which Parquet says what a shard holds; of the others the size counts."""
_END_BYTES = 2**16


def fingerprint_of(path: str) -> str:
    """Return a hash of a set, or of those of a data YAML and what is taken of each; wherever they lie.

    Of a set in a store, which would have to be asked, the address counts alone; "" where something is not there.
    """
    found = hashlib.sha256()
    try:
        for entry in entries_of(location_of(path)):
            found.update(repr((entry.ratio, entry.type, entry.drawn)).encode())
            _add(found, entry.path)
    except (OSError, ValueError):  # whoever opens them says so
        return ""
    return found.hexdigest()[:16]


def _add(found: Any, place: Location) -> None:
    if isinstance(place, Address):
        found.update(str(place).encode())
        return
    folder = place if place.is_dir() else place.parent
    lists = [folder / name for name in _LISTS if (folder / name).is_file()] if place.is_dir() else [place]
    for file in lists:
        if file.suffix != ".parquet":
            with file.open("rb") as content:
                found.update(hashlib.file_digest(content, "sha256").digest())
    if place.suffix == ".parquet":
        files = [place]
    elif place.is_dir() or place.name in _LISTS:
        files = sorted([*folder.rglob("*.parquet"), *folder.glob("*.pkl"), *folder.glob("files/*.pkl")])
    else:
        files = []
    for number, file in enumerate(files):
        _add_end(found, file, num_bytes=_END_BYTES if number < _LOOKED_INTO else 0)


def _add_end(found: Any, file: Path, *, num_bytes: int) -> None:
    size = file.stat().st_size
    found.update(f"{file.name} {size}".encode())
    if num_bytes:
        with file.open("rb") as content:
            content.seek(max(0, size - num_bytes))
            found.update(content.read())
