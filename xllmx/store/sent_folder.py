"""Folders that are made on this disk and sent to a store: there is no rename there, so what marks them comes last.

s3://bucket/model/model.safetensors     first all that is no mark
s3://bucket/model/config.json           then the marks: without one, nobody takes the folder for whole
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from xllmx.disk.files import atomic_folder, writing
from xllmx.disk.place import check_new_folder
from xllmx.disk.temporary import remove_stale
from xllmx.store.address import Address, Location
from xllmx.store.folder_copy import ListedFile, listed
from xllmx.store.lease import check_held, leased

_AT_ONCE = 4
LOCK = ".lock"
"""File in a folder of a store that says who writes there."""
UNFINISHED = ".sending"
"""File that lies in a folder of a store as long as it is not whole: what a killed process left may be replaced."""


@contextmanager
def new_folder(place: Location, *, marks: Sequence[str]) -> Iterator[Path]:
    """Yield an empty folder of the disk to fill; it replaces `place` when the block ends without an error.

    Args:
        place: on the disk, or in a store.
        marks: names of files of which a whole folder has one.

    Raises:
        ValueError: another process writes this folder, or has begun to meanwhile.
        WriteError: the disk is full and the like; what was at `place` is as it was.
        StoreError: the store does not take it; what was there is as it was, or has no mark.
    """
    if isinstance(place, Path):
        with atomic_folder(place) as temporary:
            yield temporary
        return
    remedy = "wait for it, or choose another folder"
    with (
        leased(place / LOCK, what=f"{place} is being written", remedy=remedy),
        tempfile.TemporaryDirectory(prefix="store-") as name,
    ):
        folder = Path(name) / place.name
        with writing(folder):
            folder.mkdir()
            yield folder
        check_held(place)
        send_folder(folder, place, marks=marks)


def check_absent(place: Location, *, overwrite: bool, remedy: str) -> None:
    """Check that nothing is in the way of a new folder, or may be replaced; what a dead process left is mended first.

    Raises:
        ValueError: something is there; says what to give to have it replaced.
    """
    if isinstance(place, Path):
        remove_stale(place.parent)
        is_there = place.exists() and not (place.is_dir() and not any(place.iterdir()))
    else:
        place.check_writable()
        files = listed(place)
        is_there = place.is_file() or (bool(files) and not _is_unfinished(files))
    if is_there and not overwrite:
        raise ValueError(f"{place} is there already; choose another folder, or {remedy}")


def check_new(place: Location, *, marks: Sequence[str], inputs: Mapping[str, Location | None]) -> None:
    """Check that a folder can be made in place of what is there.

    Args:
        place: where.
        marks: names of which one is in every folder that may be replaced.
        inputs: what it may neither be nor hold nor lie in, by what the user calls it.

    Raises:
        ValueError: something else is there, which would be removed, or one of the inputs.
    """
    if isinstance(place, Path):
        here = {name: held for name, held in inputs.items() if not isinstance(held, Address)}
        check_new_folder(place, inputs=here, marks=marks)
        return
    for name, held in inputs.items():
        if isinstance(held, Address) and (held.is_relative_to(place) or place.is_relative_to(held)):
            raise ValueError(f"{place} is or holds {name}, or lies in it; choose another folder")
    files = listed(place)
    if files and not _is_unfinished(files) and not any(str(one.name) in marks for one in files):
        rule = f"it has no {' or '.join(marks)}, and something else would be removed"
        raise ValueError(f"{place} is not written over: {rule}; choose another folder")


def _is_unfinished(files: Sequence[ListedFile]) -> bool:
    return any(str(one.name) == UNFINISHED for one in files)


def send_folder(folder: Path, place: Address, *, marks: Sequence[str]) -> None:
    """Send all files of a folder in place of those that lie there, the marks last and those of before removed first.

    Raises:
        StoreError: the store does not take them; what lies there then has no mark.
    """
    before = listed(place)
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    last = [name for name in files if name in marks]
    (place / UNFINISHED).write_bytes(b"")
    for one in before:
        if str(one.name) in marks:
            one.address.unlink(missing_ok=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            list(pool.map(lambda name: (place / name).put(files[name]), [name for name in files if name not in last]))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for one in before:
        if str(one.name) not in files:
            one.address.unlink(missing_ok=True)
    for name in last:
        (place / name).put(files[name])
    (place / UNFINISHED).unlink(missing_ok=True)
