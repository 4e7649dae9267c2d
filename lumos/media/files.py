"""Files written whole or not at all, and errors of the disk that say what to do about them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xllmx.disk.files import atomic_path
from xllmx.disk.place import require_folder
from xllmx.store.address import Location, location_of

__all__ = ["replacing", "require_folder"]


@contextmanager
def replacing(path: str | Location) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, on any failure it is removed.

    The folder is made if needed. Of a place in a store it is on this disk, and is sent there at the end. A reader sees
    the old file or the new one, never a part. A disk that is full, a folder that may not be written, a store that
    denies it and the like end as a `ValueError` that names the file and the remedy.
    """
    with atomic_path(location_of(path)) as temporary:
        yield temporary
