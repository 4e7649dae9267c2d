"""Files that are whole or not there: written under a temporary name beside the target, then renamed.

Whatever the disk has against it is a `WriteError`: one line that names the file, the reason, what is kept and the
remedy.
"""

import errno
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from xllmx.disk.temporary import remove_stale, temporary_beside
from xllmx.run.lock import lock_beside, locked
from xllmx.store.address import Address, Location

_OF_THE_DISK = {
    errno.ENOSPC: re.compile(
        r"No space left|os error 28\b|errno 28\b|StreamWriter failed writing|unexpected pos \d+ vs"
    ),
    errno.EDQUOT: re.compile(r"Disk quota exceeded|os error 122\b|errno 122\b"),
    errno.EFBIG: re.compile(r"File too large|os error 27\b|errno 27\b"),
}
"""What libraries say that raise errors of their own: safetensors, torch, Arrow."""


_OWNER_ALONE = 0o600


class WriteError(OSError, ValueError):
    """Something that could not be written; says which file, why, and what to do."""


@contextmanager
def writing(path: Path, *, kept: str | None = None, temporary: Path | None = None) -> Iterator[None]:
    """Within this context an error of the disk names `path`, what is kept, and the remedy.

    Args:
        path: the file or folder that is being written.
        kept: what is kept; None: what was there before, where there was something.
        temporary: what is written in its place until it is whole.

    Raises:
        WriteError: the disk is full, a limit of size or of right is reached. An error that names another file is let
            through.
    """
    try:
        yield
    except WriteError:
        raise
    except Exception as error:
        found = disk_error(error)
        if found is None or not _is_about(found, [one for one in (path, temporary) if one is not None]):
            raise
        whole = kept or (f"the {path.name} that was there is as it was" if path.exists() else "")
        raise WriteError(f"cannot write {path}: {reason(found)}{f'; {whole}' if whole else ''}") from error


@contextmanager
def atomic_path(path: Location) -> Iterator[Path]:
    """Yield a temporary path to write; it is renamed to `path` when the block ends without an error.

    For a place in a store it is one of this disk, and is sent there at the end: a store has whole objects alone.

    Raises:
        WriteError: the disk is full and the like; what was at `path` is as it was.
        StoreError: the store does not take it; what was at `path` is as it was.
    """
    if isinstance(path, Address):
        with _sent_to(path) as temporary:
            yield temporary
        return
    temporary = temporary_beside(path)
    with writing(path, temporary=temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        _tidy(path.parent)
        try:
            yield temporary
            _flush(temporary)
            _open_up(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _sent_to(address: Address) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="store-") as folder:
        temporary = Path(folder) / address.name
        with writing(temporary):
            yield temporary
        address.put(temporary)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder to fill; it replaces `path` when the block ends without an error.

    What killed processes left beside it is removed first. If this one is killed while the folders change places, the
    next start gives the new one its name.

    Raises:
        ValueError: another process writes this folder.
        WriteError: the disk is full and the like; what was at `path` is as it was.
    """
    temporary = temporary_beside(path)
    with writing(path, temporary=temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(path.parent)
        with locked(lock_beside(path), what=f"{path} is being written", remedy="wait for it, or choose another folder"):
            temporary.mkdir()
            try:
                yield temporary
                for file in temporary.rglob("*"):
                    if file.is_file():
                        _flush(file)
                        _open_up(file)
                _change_places(temporary, path)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Location, text: str) -> None:
    """Write a text file, whole or not at all: on an error the file at `path` is what it was before."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def disk_error(error: BaseException) -> OSError | None:
    """Return what the disk had against a write, also where a library says so in its own words; None if it is no such.

    A `ValueError` that is none says itself what is wrong.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error
    if isinstance(error, ValueError):
        return None
    text = str(error)
    number = next((number for number, said in _OF_THE_DISK.items() if said.search(text)), None)
    return None if number is None else OSError(number, os.strerror(number))


def reason(error: OSError) -> str:
    """One line: what happened and what to do about it."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return f"{error.strerror}; free some space or choose another folder"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{error.strerror}; choose a folder you may write to"
        case errno.ENOTDIR | errno.EEXIST:
            return f"{error.strerror}; a file stands where a folder is needed"
    return error.strerror or str(error)


def _change_places(temporary: Path, path: Path) -> None:
    """Give a whole folder its name; the one that had it is removed afterwards."""
    whole, before = temporary_beside(path, kind="whole"), temporary_beside(path)
    temporary.rename(whole)
    try:
        if os.path.lexists(path):
            path.rename(before)
        whole.rename(path)
    except BaseException:
        if before.exists() and not path.exists():
            before.rename(path)
        shutil.rmtree(whole, ignore_errors=True)
        raise
    if before.is_symlink():
        before.unlink()
    else:
        shutil.rmtree(before, ignore_errors=True)


@cache
def _tidy(folder: Path) -> None:
    """Remove what dead processes left in a folder, once a process."""
    remove_stale(folder)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _open_up(path: Path) -> None:
    """Give a file that a library made for its owner alone (safetensors does) the rights of every new file here."""
    if stat.S_IMODE(path.lstat().st_mode) != _OWNER_ALONE:
        return
    other = temporary_beside(path)
    other.touch()
    try:
        path.chmod(stat.S_IMODE(other.stat().st_mode))
    finally:
        other.unlink()


def _is_about(error: OSError, paths: Sequence[Path]) -> bool:
    """Whether an error of the disk is about what is written: it names that, something above or below it, or nothing."""
    if error.filename is None:
        return True
    named = Path(os.fsdecode(error.filename))
    return any(named.is_relative_to(one) or one.is_relative_to(named) for one in paths)
