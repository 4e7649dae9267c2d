"""Requests to a hub that may be silent, slow or hostile: each ends in time, and takes no more than it may.

silence      10 s without a byte break a request, three broken ones in a row end the call
trickle      a small answer is whole within 45 s; a file brings 64 KiB a minute at least
size         an answer beyond its bound is an error, and what is packed is not unpacked
elsewhere    a redirect leads to https, or stays on the host it comes from
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from huggingface_hub import get_session
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

try:  # the hub's client library: httpx2 from huggingface_hub 2 on
    import httpx2 as httpx
except ImportError:
    import httpx  # type: ignore[no-redef]

SILENCE_S = 10.0
"""Without a byte, after which a connection counts as broken; also for making one."""

ATTEMPTS = 3
"""Tries in a row that bring nothing before a call gives up."""

SMALL_S = 45.0
"""For a small request with all its tries."""

MINUTE_S, LEAST_BYTES = 60.0, 64 * 2**10
"""A file that brings fewer bytes in that time counts as broken."""

_MOST_REDIRECTS = 8
_MOST_BYTES = 16 * 2**20
_Made = TypeVar("_Made")


class AnswerError(OSError):
    """An answer that no honest hub gives; the message says what is wrong with it."""


def read(url: str, *, most_bytes: int = _MOST_BYTES) -> bytes:
    """Return the body of a small answer.

    Raises:
        AnswerError: it is larger than `most_bytes`, packed, or leads to where it may not.
        httpx.HTTPError, HfHubHTTPError: no answer in time, or one that is an error.
    """

    def whole() -> bytes:
        with answer("GET", url) as response:
            fault = f"it sends more than {most_bytes} bytes where a small file is expected"
            return body_of(response, most_bytes=most_bytes, fault=fault)

    return tried(whole)


def body_of(response: Any, *, most_bytes: int, fault: str) -> bytes:
    """Return the body of an answer under way; AnswerError with this fault where it is larger, else as `chunks`."""
    body = bytearray()
    for chunk in chunks(response):
        body += chunk
        if len(body) > most_bytes:
            raise AnswerError(fault)
    return bytes(body)


def head(url: str) -> Mapping[str, str]:
    """Return the headers of a file, those of the hub itself: a redirect to where it is stored is not followed.

    Raises:
        AnswerError, httpx.HTTPError, HfHubHTTPError: as `read`.
    """

    def headers() -> Mapping[str, str]:
        with answer("HEAD", url, leave_host=False) as response:
            return dict(response.headers)

    return tried(headers)


def tried(call: Callable[[], _Made]) -> _Made:
    """Return what a small request brings: broken connections are tried again, the whole ends in time."""
    end = time.monotonic() + SMALL_S
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _within(end - time.monotonic(), call)
        except httpx.TransportError:
            if attempt == ATTEMPTS or time.monotonic() >= end:
                raise
            time.sleep(attempt)
    raise AssertionError("the last attempt returns or raises")


@contextmanager
def answer(
    method: str, url: str, *, headers: Mapping[str, str] | None = None, leave_host: bool = True
) -> Iterator[httpx.Response]:
    """A context with an answer, its body not read yet; `leave_host` False gives a redirect to another host itself.

    Raises:
        AnswerError, httpx.HTTPError, HfHubHTTPError: as `read`.
    """
    session = get_session()
    # uncompressed, so that bytes are those of the file and nothing has to be unpacked
    sent = {**build_hf_headers(), "Accept-Encoding": "identity", **(headers or {})}
    request = session.build_request(method, url, headers=sent, timeout=SILENCE_S)
    for _ in range(_MOST_REDIRECTS):
        response = _within(SMALL_S, partial(_opened, session, request))
        try:
            following = response.next_request
            if following is None or (not leave_host and following.url.host != request.url.host):
                _check(response)
                yield response
                return
        finally:
            response.close()
        _check_redirect(request.url, following.url)
        request = following
    raise AnswerError(f"it redirects more than {_MOST_REDIRECTS} times")


def chunks(response: httpx.Response) -> Iterator[bytes]:
    """Yield the body of an answer piece by piece, as it was sent.

    Raises:
        AnswerError: it is packed.
        httpx.ReadTimeout: it comes too slowly to end.
    """
    packed = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise AnswerError(f"it sends the file packed ({packed[:40]!a}), which was not asked for")
    start, brought = time.monotonic(), 0
    for chunk in response.iter_raw():
        yield chunk
        brought += len(chunk)
        if (now := time.monotonic()) - start > MINUTE_S:
            if brought < LEAST_BYTES:
                raise httpx.ReadTimeout(f"{brought} bytes in {now - start:.0f} s")
            start, brought = now, 0


def _opened(session: httpx.Client, request: httpx.Request) -> httpx.Response:
    try:
        return session.send(request, stream=True, follow_redirects=False)
    except httpx.TimeoutException as error:
        raise type(error)(f"no answer for {SILENCE_S:.0f} s") from error


def _check(response: httpx.Response) -> None:
    """Raise the error that an answer is, without reading what else it sends."""
    if response.status_code < httpx.codes.BAD_REQUEST:
        return
    names = ("X-Error-Code", "X-Error-Message")
    said = {name: response.headers[name][:200] for name in names if name in response.headers}
    bare = httpx.Response(response.status_code, headers=said, content=b"", request=response.request)
    hf_raise_for_status(bare)


def _check_redirect(before: httpx.URL, after: httpx.URL) -> None:
    same = (before.scheme, before.host) == (after.scheme, after.host)
    if after.scheme != "https" and not same:
        raise AnswerError(
            f"it redirects to {f'{after.scheme}://{after.host}'[:100]!a}, which is neither https nor itself"
        )


def _within(seconds: float, call: Callable[[], _Made]) -> _Made:
    """Return what `call` returns; httpx.ReadTimeout if it takes longer, for it may receive a byte every nine seconds.

    The thread that is still waiting by then closes what it gets and ends with the process.
    """
    found: list[Any] = []
    errors: list[BaseException] = []
    left = threading.Event()

    def run() -> None:
        try:
            found.append(call())
        except BaseException as error:
            errors.append(error)
        if left.is_set() and found and isinstance(found[0], httpx.Response):
            with suppress(Exception):
                found[0].close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(max(0.0, seconds))
    if thread.is_alive():
        left.set()
        raise httpx.ReadTimeout(f"not finished after {seconds:.0f} s")
    if errors:
        raise errors[0]
    return found[0]
