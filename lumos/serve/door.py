"""What every request passes first: its key, where it comes from, and how much it may send.

/v1/...       needs the key, where there is one: `Authorization: Bearer KEY`; a browser's WebSocket, which cannot send
              that, names the protocol `openai-insecure-api-key.KEY`
any path      a page of another site may not have its reader's browser send requests here (`Origin`, and
              `Sec-Fetch-Site` of pictures and scripts; a link to here may be followed), and where no key is asked for
              no other name of the server is known (`Host`), or such a page would give itself one (DNS rebinding); an
              address in numbers is no name that a page could have
any body      has one length, is counted while it is read, and so are all together that are being read or worked on
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from lumos.serve.faults import RequestError
from lumos.serve.metrics import Metrics

_PROTOCOL_KEY = "openai-insecure-api-key."
_ELSEWHERE = ("cross-site", "same-site")
"""What browsers say of a request of another site's page, also where they send no `Origin` (pictures, scripts)."""
_MOST_TOGETHER = 16
"""Bodies as large as may be that are held at once, in memory or beside it."""
_AGAIN_S = 10


class Door:
    """The outermost layer of the application."""

    def __init__(
        self, app: ASGIApp, *, keys: Iterable[str], hosts: Iterable[str] | None, most_bytes: int, metrics: Metrics
    ) -> None:
        """Take the keys (none: everybody may come in) and the names that this server goes by (None: any)."""
        self._app, self._most_bytes, self._metrics = app, most_bytes, metrics
        self._held_bytes = 0
        self._keys = [_digest(key) for key in keys]
        self._hosts = None if hosts is None else {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        status, body = 500, _Body()

        async def counted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("x-content-type-options", "nosniff")
            await send(message)

        try:
            self._check(scope)
        except RequestError as fault:
            await _refuse(fault, scope, receive, counted)
        else:
            await self._app(scope, self._bounded(receive, body) if scope["type"] == "http" else receive, counted)
        finally:
            self._held_bytes -= body.num_bytes
            if scope["type"] == "http":
                route = getattr(scope.get("route"), "path", "none")
                self._metrics.request(_method(scope), route, status)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = _name_of(f"//{host}")
        if self._hosts is not None and name not in self._hosts and not _is_address(name):
            fault = "this server does not go by that name (Host); --allow-host NAME adds one"
            raise RequestError(403, fault, code="unknown_host")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            raise RequestError(403, "pages of other sites may not use this server (Origin)", code="other_origin")
        if headers.get("sec-fetch-site") in _ELSEWHERE and headers.get("sec-fetch-mode") != "navigate":
            raise RequestError(403, "pages of other sites may not use this server", code="other_origin")
        if self._keys and scope["path"].startswith("/v1") and not self._is_known(headers):
            raise RequestError(401, "no such API key; send Authorization: Bearer KEY", code="invalid_api_key")
        if "content-length" in headers and "transfer-encoding" in headers:  # a proxy may see another end than we do
            twice = RequestError(400, "the request says its length twice (Content-Length and Transfer-Encoding)")
            twice.headers["Connection"] = "close"
            raise twice
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._most_bytes:
            raise self._too_large()

    def _is_known(self, headers: Headers) -> bool:
        """Whether one of the keys is given; the time it takes tells nothing of them."""
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            protocols = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
            given = next((name.removeprefix(_PROTOCOL_KEY) for name in protocols if name.startswith(_PROTOCOL_KEY)), "")
        digest = _digest(given.strip())
        return sum(hmac.compare_digest(digest, key) for key in self._keys) > 0  # all are compared, whichever fits

    def _bounded(self, receive: Receive, body: "_Body") -> Receive:
        """Return `receive`, which raises once a body, or all of them together, are larger than they may be."""

        async def bounded() -> Message:
            message = await receive()
            number = len(message.get("body", b""))
            body.num_bytes, self._held_bytes = body.num_bytes + number, self._held_bytes + number
            if body.num_bytes > self._most_bytes:
                raise self._too_large()
            if number and self._held_bytes > _MOST_TOGETHER * self._most_bytes:
                fault = "too much is being received at once; send the request again"
                raise RequestError(503, fault, code="busy", retry_after_s=_AGAIN_S)
            return message

        return bounded

    def _too_large(self) -> RequestError:
        fault = f"the request is larger than {self._most_bytes} bytes; send a smaller file"
        return RequestError(413, fault, code="request_too_large")


@dataclass
class _Body:
    """What has come of one request."""

    num_bytes: int = 0


async def _refuse(fault: RequestError, scope: Scope, receive: Receive, send: Send) -> None:
    answer = JSONResponse(fault.body, fault.status, headers=fault.headers)
    if scope["type"] == "websocket":
        socket = WebSocket(scope, receive, send)
        await socket.receive()
        await socket.send_denial_response(answer)
        return
    await answer(scope, receive, send)


def _method(scope: Scope) -> str:
    known = ("GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH")
    return scope["method"] if scope["method"] in known else "other"


def _name_of(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
