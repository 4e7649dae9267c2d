"""One process at a time in a folder of a store: a file there that says who works, and is renewed while it does.

A store knows no locks. The file is made only where there is none (a conditional write), and is taken over where its
holder has died: at once if that was on this machine, or in this job of Slurm before Slurm queued it again; else when it
was not renewed for ten minutes.

Two that find the same holder dead may both remove its file, and the slower one then removes that of the faster. So who
took a place over looks again a moment later, every holder looks at each renewal, and who finds another's file there
ends (`check_held`).
"""

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from xllmx.disk.temporary import is_alive, place_here
from xllmx.ranks.slurm import slurm_job
from xllmx.run.lock import HeldError
from xllmx.store.access import StoreError
from xllmx.store.address import Address

RENEWED_EVERY_S = 60.0
OLD_S = 600.0
"""Since the last renewal; a store and its users differ by less, or it would refuse them."""
_TRIES = 5
_SETTLE_S = 2.0
"""After which who found a dead holder together with this process has taken its place too, or never does."""
_LOST: dict[Address, HeldError] = {}
"""Places that this process held until another one took them, with the error."""
_LOG = logging.getLogger(__name__)


@contextmanager
def leased(place: Address, *, what: str, remedy: str) -> Iterator[None]:
    """Hold the lease whose file is `place` within this context; `check_held` says whether it is held still.

    Raises:
        HeldError: `{what} by another process (process 4711 on node3, since ...); {remedy}`.
        StoreError: the file cannot be written.
    """
    mine = {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        "place": place_here(),
        "token": secrets.token_hex(8),
    }
    if job := slurm_job(os.environ):
        mine |= {"job": job.number, "restarts": job.restarts}
    _take(place, mine, what=what, remedy=remedy)
    ended = threading.Event()
    said = {"what": what, "remedy": remedy}
    renewing = threading.Thread(target=_renew, args=(place, mine, ended), kwargs=said, daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        _LOST.pop(place, None)
        with suppress(StoreError):
            if _holder(place).get("token") == mine["token"]:
                place.unlink(missing_ok=True)


def check_held(folder: Address) -> None:
    """Raise the HeldError of a lease in a folder that this process held and another one has taken."""
    for place, error in list(_LOST.items()):
        if place.parent == folder:
            raise HeldError(f"another process has taken the place of this one: {error}", holder=error.holder)


def _take(place: Address, mine: dict[str, Any], *, what: str, remedy: str) -> None:
    takes_over = False
    for _ in range(_TRIES):
        try:
            place.write_bytes(json.dumps(mine).encode(), new=True)
            if not takes_over:
                return
        except FileExistsError:
            pass
        if takes_over:
            time.sleep(_SETTLE_S)
        holder = _holder(place)
        if holder.get("token") == mine["token"]:  # also where the answer to an earlier try was lost on the way
            return
        if not _is_dead(place, holder):
            raise _held(holder, what=what, remedy=remedy)
        takes_over = True
        if place.is_file() and _holder(place) == holder:  # else another one has just removed it, or taken it over
            place.unlink(missing_ok=True)
    raise HeldError(f"{what} by other processes that come and go; {remedy}", holder="several processes")


def _held(holder: dict[str, Any], *, what: str, remedy: str) -> HeldError:
    said = [str(holder.get(name, "?"))[:100] for name in ("process", "host", "since")]
    named = f"process {said[0]} on {said[1]}, since {said[2]}"
    wait = f"{remedy}; if it is gone, its place is free {OLD_S / 60:.0f} minutes after its end"
    return HeldError(f"{what} by another process ({named}); {wait}", holder=named)


def _is_dead(place: Address, holder: dict[str, Any]) -> bool:
    job, restarts = slurm_job(os.environ), holder.get("restarts")
    if job and holder.get("job") == job.number and isinstance(restarts, int) and restarts < job.restarts:
        return True  # Slurm ends all that it started for a job before it starts the job again
    if holder.get("place") == place_here() and isinstance(holder.get("process"), int):
        return not is_alive(holder["process"])
    try:
        info = place.info()
    except FileNotFoundError:
        return True
    times = [info[name] for name in ("LastModified", "updated", "mtime") if info.get(name) is not None]
    renewed = times[0] if times else None
    if isinstance(renewed, str):
        renewed = datetime.fromisoformat(renewed)
    return isinstance(renewed, datetime) and time.time() - renewed.timestamp() > OLD_S


def _holder(place: Address) -> dict[str, Any]:
    try:
        said = json.loads(place.read_bytes())
    except (FileNotFoundError, ValueError) as error:
        if isinstance(error, StoreError):
            raise
        return {}
    return said if isinstance(said, dict) else {}


def _renew(place: Address, mine: dict[str, Any], ended: threading.Event, *, what: str, remedy: str) -> None:
    """Write the file anew from time to time; what the store has against it once, it may not have the next time.

    The first look, soon after it was taken, is for who was about to remove the file of the one before.
    """
    wait_s = min(_SETTLE_S, RENEWED_EVERY_S)
    while not ended.wait(wait_s):
        wait_s = RENEWED_EVERY_S
        with suppress(StoreError, OSError):
            holder = _holder(place)
            if holder.get("token") == mine["token"]:
                place.write_bytes(json.dumps(mine).encode())
            elif holder:
                _LOST[place] = _held(holder, what=what, remedy=remedy)
                _LOG.warning("another process has taken the place of this one, which will end: %s", _LOST[place])
                return
