"""A client's connection: closed where it is too slow, and where others need its place.

uvicorn waits without end for the rest of a request and for a client to read its answer, so that whoever opens
connections and says nothing (slowloris) takes all there are. Here each wait has an end:

a request, its head or its body      30 s in which less than 30 KiB have come, and it is not whole
an answer that is not read           60 s without room for more of it, over a WebSocket too

What is cheap to send and dear to take is refused as well: a body in chunks of a few bytes, each of which takes as long
as a whole buffer, and a WebSocket whose client talks without end.

Where there are as many as may be, the one that has waited longest to say what it wants makes room for a new one; where
all are being answered, new ones hear that the server is busy (503).
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

_LOOK_S = 5.0
_REQUEST_S, _LEAST_BYTES = 30.0, 30 * 1024
_ANSWER_S = 60.0
_MOST, _FILES_OF_OURS = 1000, 128
"""Connections, and the files that the server has open beside them: models, the store, videos being written."""
_FREE_CHUNKS, _LEAST_CHUNK_BYTES = 1000, 64
"""Chunks of a body that may be of any size, and how large further ones must be on average."""
_MOST_SAID_BYTES = 2**16
"""Of what a WebSocket's client says between two looks, which is of no use: pings and the like take a few."""
_FILES_OF_A_CONNECTION = 2
"""The connection itself, and a video that is sent or received."""


def most_connections() -> int:
    """Return how many connections there may be at once, with the open files that the system allows (`ulimit -n`)."""
    files = -1 if resource is None else resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files < 0:  # there is no bound
        return _MOST
    return max(16, min(_MOST, (files - _FILES_OF_OURS) // _FILES_OF_A_CONNECTION))


class _Requests(h11.Connection):
    """h11's reader of requests, which takes no body in a great many small chunks."""

    _num_chunks = _num_bytes = 0

    def next_event(self) -> Any:
        """Return what comes next; RemoteProtocolError, which uvicorn answers with 400, for one chunk too many."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._num_chunks = self._num_bytes = 0
        elif isinstance(event, h11.Data):
            self._num_chunks += event.chunk_start
            self._num_bytes += len(event.data)
            if self._num_chunks > _FREE_CHUNKS + self._num_bytes / _LEAST_CHUNK_BYTES:
                raise h11.RemoteProtocolError("a body in chunks of a few bytes")
        return event


class Connection(H11Protocol):
    """uvicorn's connection, with an end to each wait for its client."""

    _waits_since: float | None = None
    """When the server began to wait for a request, or for more of it; None while it need not."""
    _received = 0
    """Bytes that have come since."""
    _unread_since: float | None = None
    """Since when the client has no room for more of an answer."""
    _timer: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take what uvicorn gives, and read requests with a bound of our own."""
        super().__init__(*args, **options)
        self.conn = _Requests(h11.SERVER, self.conn._max_incomplete_event_size)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or close it at once where there are as many as may be: more would leave no open file to anybody."""
        most = self.limit_concurrency
        if most is not None and len(self.connections) >= most - 1:
            self._make_room()
            if len(self.connections) > most + most // 8:
                transport.abort()
                return
        super().connection_made(transport)
        self._await_request()
        self._timer = self.loop.call_later(_LOOK_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more at one that has ended."""
        if self.transport is None:  # it was never taken
            return
        self._stop_looking()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come, and count it."""
        if self.transport is None:
            return
        if self._waits_since is None:
            self._await_request()
        self._received += len(data)
        super().data_received(data)
        if self.conn.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED, h11.SWITCHED_PROTOCOL):
            self._waits_since = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, or close the connection where an answer has begun: there is no second one."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.abort()

    def on_response_complete(self) -> None:
        """Wait for the next request; for its first byte uvicorn's own time holds (`timeout_keep_alive`)."""
        if self.conn.their_state is h11.DONE:
            self._waits_since = None
        super().on_response_complete()
        if self._waits_since is None and self.conn.their_state is h11.SEND_BODY:  # of a request that came behind it
            self._await_request()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand it over to the WebSocket, whose pings find out who has gone."""
        self._stop_looking()
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        """Have no more written until the client has read."""
        self._unread_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._unread_since = None
        super().resume_writing()

    def _make_room(self) -> None:
        """Close the connection that has waited longest without a whole request, if there is one."""
        idle = [one for one in self.connections if isinstance(one, Connection) and one._waits_since is not None]
        if idle:
            longest = min(idle, key=lambda one: one._waits_since or 0.0)
            self.connections.discard(longest)
            longest.transport.abort()

    def _await_request(self) -> None:
        self._waits_since, self._received = self.loop.time(), 0

    def _look(self) -> None:
        """Close the connection where its client is too slow, else look again later."""
        now: float = self.loop.time()
        is_late = self._waits_since is not None and now - self._waits_since > _REQUEST_S
        if is_late and self._received >= _LEAST_BYTES:
            self._await_request()
            is_late = False
        is_unread = self._unread_since is not None and now - self._unread_since > _ANSWER_S
        if is_late or is_unread:
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(_LOOK_S, self._look)

    def _stop_looking(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Watching(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which only tells: what its client says is let be, and a client that does not read goes.

    uvicorn closes one whose pings are not answered, but waits without end until what was sent before is read.
    """

    _timer: asyncio.TimerHandle | None = None
    _said_bytes, _said_since = 0, 0.0

    def data_received(self, data: bytes) -> None:
        """Take what the client says, and give it up where it says more than anybody who watches."""
        now = self.loop.time()
        if now - self._said_since > _LOOK_S:
            self._said_bytes, self._said_since = 0, now
        self._said_bytes += len(data)
        if self._said_bytes > _MOST_SAID_BYTES:
            self.transport.abort()
        else:
            super().data_received(data)

    def pause_writing(self) -> None:
        """Have no more written until the client has read, and give it up where it does not."""
        self._timer = self.loop.call_later(_ANSWER_S, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._stop_waiting()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and wait for nobody any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    async def send(self, message: Any) -> None:
        """Send, and have a refusal be an answer, of which uvicorn's log complains."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def handle_text(self, event: Any) -> None:
        """Let be what is said."""

    def handle_bytes(self, event: Any) -> None:
        """Let be what is said."""

    def handle_cont(self, event: Any) -> None:
        """Let be what is said."""

    def handle_ping(self) -> None:
        """Answer, unless more is unread than a connection may hold: whoever only asks would have it grow."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def options() -> dict[str, Any]:
    """Return what uvicorn is told of connections."""
    how = {"http": Connection, "ws": Watching, "ws_per_message_deflate": False}
    return {**how, "limit_concurrency": most_connections()}
