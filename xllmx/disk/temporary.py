"""Names of what is being written: each belongs to one process, and what a dead process left goes at the next start.

    .model.3f0c9a1e-4711-9b2d07c5.tmp      being written by process 4711 of the place 3f0c9a1e
    .model.3f0c9a1e-4711-9b2d07c5.whole    a folder that is complete and about to get its name

A place is a machine since it was started, and a container on it. What a process of another place left cannot be asked
about: it is removed once nothing in it has changed for two days.
"""

import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from xllmx.run.lock import remove_unheld

_NAME = re.compile(r"\.(.+)\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.(tmp|whole)", re.DOTALL)
_OLD_S = 2 * 24 * 3600
_LONGEST = 200
"""Bytes of the final name that stand in the temporary one: the whole fits wherever the final name does."""


def temporary_beside(path: Path, *, kind: str = "tmp") -> Path:
    """Return a name of this process's own beside `path`, another one at every call."""
    name = os.fsdecode(os.fsencode(path.name)[:_LONGEST])
    return path.with_name(f".{name}.{place_here()}-{os.getpid()}-{secrets.token_hex(4)}.{kind}")


def remove_stale(folder: Path) -> None:
    """Remove what dead processes left half written in a folder; a whole folder gets its name if nothing has it.

    What belongs to a process that is alive stays, and so does everything that is not named as above.
    """
    if not folder.is_dir():
        return
    for path in [Path(entry.path) for entry in os.scandir(folder) if entry.name.startswith(".")]:
        found = _NAME.fullmatch(path.name)
        if found is None or not _is_stale(path, place=found[2], process=int(found[3])):
            continue
        final = path.with_name(found[1])
        if found[4] == "whole" and len(os.fsencode(final.name)) < _LONGEST and not os.path.lexists(final):
            with suppress(OSError):  # another process has just done so
                path.rename(final)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    remove_unheld(folder)


def _is_stale(path: Path, *, place: str, process: int) -> bool:
    if place == place_here():
        return not is_alive(process)
    try:
        newest = max(one.lstat().st_mtime for one in (path, *path.rglob("*")))
    except OSError:  # it has just gone
        return False
    return time.time() - newest > _OLD_S


def is_alive(process: int) -> bool:
    """Whether a process of this place runs."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:  # no such folder on this system
        return True
    return not state or state[0] not in "ZX"  # one that has ended and was not asked for its status


@cache
def place_here() -> str:
    """Return what tells the processes of this machine, since it was started, and of this container from others."""
    told = [socket.gethostname()]
    with suppress(OSError):
        told.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip())
        told.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return hashlib.sha256("\n".join(told).encode("utf-8", "surrogateescape")).hexdigest()[:8]
