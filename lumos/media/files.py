"""Files written whole or not at all, and errors of the disk that say what to do about them."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xllmx.files import atomic_path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, on any failure it is removed.

    The folder is made if needed. A reader sees the old file or the new one, never a part. A disk that is full, a folder
    that may not be written and the like end as a `ValueError` that names the file and the remedy.
    """
    path = Path(path)
    try:
        with atomic_path(path) as temporary:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
    except OSError as error:
        raise ValueError(f"cannot write {path}: {_reason(error)}") from error


def require_folder(folder: str | Path) -> None:
    """Make a folder if needed, and check that it can be written to; ValueError that names it otherwise."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"cannot write to {folder}: {_reason(error)}") from error


def remove_temporaries(folder: str | Path) -> None:
    """Remove what killed runs of `replacing` left in `folder`; call it where no other process writes there."""
    for temporary in Path(folder).glob(".*.tmp"):
        temporary.unlink(missing_ok=True)


def _reason(error: OSError) -> str:
    """One line: what happened and what to do about it."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return f"{error.strerror}; free some space or choose another folder"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{error.strerror}; choose a folder you may write to"
        case errno.ENOTDIR | errno.EEXIST:
            return f"{error.strerror}; a file stands where a folder is needed"
    return error.strerror or str(error)
