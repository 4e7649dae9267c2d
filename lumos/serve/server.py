"""The application behind a port; SIGTERM lets the jobs in work be finished, Ctrl-C has them wait for the next start."""

import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from lumos.serve import connection, logs
from lumos.serve.serving import Serving

_LOOK_S = 0.1
_GRACE_S = 3
"""For which open connections, such as those that watch, are waited for at the end."""


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address; port 0 is any that is free.

    Raises:
        ValueError: it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"cannot listen on {host}, port {port}: {reason}; choose another --host or --port") from error
    return bound


def serve(app: FastAPI, serving: Serving, bound: socket.socket, *, say: Callable[[str], None]) -> None:
    """Answer requests until a signal ends it; `say` is told once it listens, and what is waited for at the end."""
    logs.let_be_what_pictures_hold()
    config = uvicorn.Config(
        app,
        log_config=logs.settings(),
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        ws_max_size=2**16,
        timeout_graceful_shutdown=_GRACE_S,
        **connection.options(),
    )
    server = _Server(config, serving, say=say)
    server.run(sockets=[bound])
    if not server.started:
        raise ValueError("the server did not start; what is above says why")


class _Server(uvicorn.Server):
    """uvicorn's, with an end of its own."""

    def __init__(self, config: uvicorn.Config, serving: Serving, *, say: Callable[[str], None]) -> None:
        super().__init__(config)
        self._serving, self._say = serving, say

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets and not self.should_exit:
            host, port = sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            self._say(f"listening on http://{shown}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal: the first SIGTERM drains, everything else ends at once."""
        if sig == signal.SIGTERM and not self._serving.draining.is_set() and not self.should_exit:
            self._captured_signals.append(sig)
            self._serving.draining.set()
            self._serving.worker.drain()
            threading.Thread(target=self._end_when_idle, daemon=True).start()
        else:
            super().handle_exit(sig, frame)

    def _end_when_idle(self) -> None:
        end = time.monotonic() + self._serving.limits.drain_seconds
        if not self._serving.worker.is_idle:
            self._say("SIGTERM: what is in work is finished first; a second SIGTERM ends at once")
        while not self._serving.worker.is_idle and time.monotonic() < end and not self.should_exit:
            time.sleep(_LOOK_S)
        self.should_exit = True
