"""A connection to Ray: to the cluster at an address, or to one that is started on this machine for as long.

Ray hands out work and restarts nothing of ours by itself (`xllmx.ranks.actor_pool` says why); its usage statistics are
off, its dashboard too, and what its processes print stays in its own logs, so that lines of progress can be read.
"""

import argparse
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from xllmx.settings.setting import SettingError

ADDRESS_VARIABLE = "RAY_ADDRESS"
"""Where Ray's own commands look for an address, too."""
LOCAL = "local"
"""In the place of an address: a cluster that is started on this machine."""
_ANSWER_S = 10.0
"""Longest wait for somebody who listens at an address."""
_JOIN_S = 60.0
"""Longest wait for a cluster to take us in, once somebody listened."""
_TRIES = 2
"""To start Ray on this machine."""
_QUIET = {"log_to_driver": False, "logging_level": "error"}


def add_engine(parser: Any) -> None:
    """Add --engine and --ray-address to a program's options."""
    add = parser.add_argument
    add("--engine", choices=["local", "ray"], default="local", help="who works: this process, or actors of Ray")
    add("--ray-address", metavar="HOST:PORT", help="of Ray's cluster, or auto (RAY_ADDRESS, or one is started here)")


def check_options(options: argparse.Namespace) -> None:
    """Check --engine and --ray-address of a program.

    Raises:
        SettingError: Ray is asked for and not installed, or an address is given and Ray is not asked for.
    """
    if options.engine == "ray":
        require_ray()
    elif options.ray_address is not None:
        raise SettingError("ray_address", f"is {options.ray_address!r}; it goes with --engine ray")


def require_ray() -> None:
    """Check that Ray is installed. Raises `SettingError` with the command that installs it."""
    if find_spec("ray") is None:
        raise SettingError("engine", "is ray, which is not installed; run: pip install 'lumos-open[ray]'")


def imported_ray() -> Any:
    """Return the package, which sends no statistics and says little. Raises `SettingError` where it is not there."""
    require_ray()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before Ray is imported: it never asks, and never sends
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else Ray warns that it will be so
    return import_module("ray")


def chosen_address(given: str | None) -> str:
    """Return the address that was typed, or that of `RAY_ADDRESS`; `local` is a cluster that is started here."""
    return given or os.environ.get(ADDRESS_VARIABLE) or LOCAL


@contextmanager
def connected(address: str | None = None) -> Iterator[Any]:
    """A context with Ray, connected; of a process that is connected already the same, and it stays so.

    Args:
        address: `HOST:PORT` of a cluster, `auto` for the one of this machine, `local` for a new one here for as long as
            the context; None: as `chosen_address` says.

    Raises:
        SettingError: Ray is not installed, or nobody answers at the address within about a minute.
    """
    ray = imported_ray()
    if ray.is_initialized():
        yield ray
        return
    place = chosen_address(address)
    before = signal.getsignal(signal.SIGTERM)
    _join(ray, place, typed=address is not None)
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray puts its own in the place of the program's
        yield ray
    finally:
        ray.shutdown()


def _join(ray: Any, place: str, *, typed: bool) -> None:
    if place == LOCAL:
        start_here(ray)
        return
    if place != "auto":
        _knock(place, typed=typed)
    fault: list[BaseException] = []

    def join() -> None:
        try:
            ray.init(address=place, **_QUIET)
        except Exception as error:
            fault.append(error)

    thread = threading.Thread(target=join, daemon=True)  # it may never come back
    thread.start()
    thread.join(_JOIN_S)
    if thread.is_alive():
        raise _unanswered(place, f"no Ray answered there within {_JOIN_S:.0f} s", typed=typed)
    if fault:
        with suppress(Exception):
            ray.shutdown()
        raise _unanswered(place, " ".join(str(fault[0]).split())[:200], typed=typed) from fault[0]


def start_here(ray: Any, **how: Any) -> None:
    """Start Ray on this machine, and connect to it; a machine that is busy has more than one try.

    Args:
        ray: the package.
        how: what else `ray.init` is to know: `num_cpus=2`.

    Raises:
        ValueError: it does not start.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            ray.init(address=LOCAL, include_dashboard=False, **_QUIET, **how)
            return
        except Exception as error:  # Ray raises a bare one where its node has not started within half a minute
            with suppress(Exception):
                ray.shutdown()
            if not tries_left:
                said = " ".join(str(error).split())[:200]
                raise ValueError(
                    f"Ray does not start here: {said}; its logs are in /tmp/ray/session_latest/logs"
                ) from error


def _knock(place: str, *, typed: bool) -> None:
    """Check that somebody listens at an address."""
    host, colon, port = place.rpartition(":")
    if "://" in place or not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise _unanswered(place, "it must be HOST:PORT, auto or local", typed=typed)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
    except OSError as error:
        raise _unanswered(place, f"nobody answers there ({error.strerror or error})", typed=typed) from error


def _unanswered(place: str, what: str, *, typed: bool) -> SettingError:
    name = "ray_address" if typed else ADDRESS_VARIABLE
    remedy = "start one there (ray start --head), or give local, which starts one here"
    return SettingError(name, f"is {place!r}: {what}; {remedy}")


def device_in(ray: Any, given: str) -> str:
    """Return `cuda` or `cpu`: where actors compute; what is not given is GPUs where the cluster has any.

    Raises:
        SettingError: another device is asked for, or GPUs that the cluster does not have.
    """
    check_device(given)
    has_gpus = ray.cluster_resources().get("GPU", 0) >= 1
    if given == "cuda" and not has_gpus:
        raise SettingError("device", "is 'cuda', and Ray's cluster has no GPU; leave it out, or give cpu")
    return given or ("cuda" if has_gpus else "cpu")


def check_device(given: str) -> None:
    """Check the device that is asked for, "" where none is; whether the cluster has it, `device_in` says.

    Raises:
        SettingError: it is one among several of its kind, or of another kind.
    """
    if given not in ("", "cpu", "cuda"):
        raise SettingError("device", f"is {given!r}; Ray gives each actor its own GPU: leave it out, or give cpu")


def counts_in(ray: Any) -> tuple[int, int]:
    """Return the CPUs and GPUs that the cluster has now."""
    resources = ray.cluster_resources()
    return int(resources.get("CPU", 0)), int(resources.get("GPU", 0))


def work_in(folder: Path) -> None:
    """Make a folder the one that paths count from. Raises `ValueError` on a machine that does not have it."""
    try:
        os.chdir(folder)
    except OSError as error:
        here = os.uname().nodename
        remedy = "all machines of the cluster must see the same files; work in a folder that is shared"
        raise ValueError(f"{folder} is not there on {here}, where Ray has an actor; {remedy}") from error
