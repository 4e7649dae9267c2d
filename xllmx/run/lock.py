"""One process at a time: a lock on a file, which the system takes back however its holder ends.

A lock says who holds it: `{"process": 4711, "host": "node3", "since": "2026-01-02 03:04:05"}`. It binds all processes
of a machine, and those of other machines where the file system passes locks on (NFS does, Lustre if it is mounted so).
Where there are none, a warning says so, and nothing is locked.
"""

import contextlib
import errno
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_LOG = logging.getLogger(__name__)
_SUFFIX = ".xllmx-lock"
_TRIES = 3
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF)
_HELD: set[int] = set()
"""File descriptors of the locks of this process; a child that it forks closes them, else it would hold them on."""
_SHARED: dict[Path, int] = {}
"""Files of locks that this process shares, with their descriptors; its children hold them too."""


class HeldError(ValueError):
    """Another process holds the lock."""

    def __init__(self, message: str, *, holder: str) -> None:
        super().__init__(message)
        self.holder = holder


def lock_beside(path: Path) -> Path:
    """Return the file of the lock of a file or folder that may not be there yet."""
    return path.with_name(f".{os.fsdecode(os.fsencode(path.name)[:200])}{_SUFFIX}")


@contextmanager
def locked(path: Path, *, what: str, remedy: str, wait: bool = False) -> Iterator[None]:
    """Hold the lock on the file `path`, which is made for it, within this context.

    Args:
        path: in a folder that is there.
        what: `FOLDER is trained`; begins the error.
        remedy: ends it.
        wait: whether to wait for another holder; otherwise it is an error.

    Raises:
        HeldError: `FOLDER is trained by another process (process 4711 on node3, since ...); REMEDY`.
        OSError: the file cannot be made.
    """
    descriptor = _take(path, wait=wait)
    if descriptor is None:
        holder = _holder(path)
        raise HeldError(f"{what} by another process ({holder}); {remedy}", holder=holder)
    _HELD.add(descriptor)
    try:
        yield
    finally:
        _HELD.discard(descriptor)
        if _is(descriptor, path):
            path.unlink(missing_ok=True)
        os.close(descriptor)


def hold_shared(path: Path) -> None:
    """Hold a lock on the file `path` to the end of this process; others may hold it so too, none as `locked` does."""
    while path not in _SHARED:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        _flock(descriptor, path, wait=True, shared=True)
        if _is(descriptor, path):  # else who held it alone has removed it
            _SHARED[path] = descriptor
        else:
            os.close(descriptor)


def remove_unheld(folder: Path) -> None:
    """Remove the files of locks beside something in a folder (`lock_beside`) whose holder has died."""
    for path in folder.glob(f".*{_SUFFIX}"):
        with contextlib.suppress(OSError, HeldError), locked(path, what="", remedy=""):
            pass


def _take(path: Path, *, wait: bool) -> int | None:
    """Return the descriptor of the locked file; None if another process holds it."""
    tries = 0
    while wait or tries < _TRIES:
        tries += 1
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _flock(descriptor, path, wait=wait)
            if _is(descriptor, path):  # else its last holder removed it after we opened it
                _sign(descriptor)
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    return None


def _flock(descriptor: int, path: Path, *, wait: bool, shared: bool = False) -> None:
    try:
        if fcntl is None:
            raise OSError(errno.ENOSYS, "no locks on this system")
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _LOG.warning("%s has no locks (%s): see to it that one process alone writes there", path.parent, error.strerror)


def _is(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one that has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    holder = {"process": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)


def _holder(path: Path) -> str:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return f"process {said['process']} on {said['host']}, since {said['since']}"
    except (OSError, ValueError, KeyError, TypeError):  # it has just begun, or ended
        return "it does not say which"


def _leave() -> None:
    for descriptor in _HELD:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave)
