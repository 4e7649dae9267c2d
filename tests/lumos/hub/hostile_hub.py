"""A server on localhost that lists a model and sends it, but for what it is told to answer otherwise."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests import web_server

COMMIT = "a" * 40
FILES = {
    "config.json": b"{}",
    "model.safetensors": b"x" * 100,
    "text_tokenizer.json": b"{}",
    "visual_tokenizer/encoder.jit": b"e",
    "visual_tokenizer/decoder.jit": b"d",
}
Reply = Callable[[BaseHTTPRequestHandler], None]


def headers(handler: BaseHTTPRequestHandler, status: int = 200, **named: object) -> None:
    handler.send_response(status)
    for name, value in named.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def send(handler: BaseHTTPRequestHandler, content: bytes, **named: object) -> None:
    headers(handler, Content_Length=len(content), **named)
    if handler.command != "HEAD":
        handler.wfile.write(content)


def listing(**changed: object) -> bytes:
    return json.dumps(
        {"id": "org/name", "sha": COMMIT, "siblings": [{"rfilename": name} for name in FILES]} | changed
    ).encode()


@contextmanager
def hostile(*, listed: Reply | None = None, weights: Reply | None = None) -> Iterator[str]:
    """A server that lists a model and sends it, but for what `listed` or `weights` answer."""
    content = listing()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            name = self.path.partition(f"/resolve/{COMMIT}/")[2]
            try:
                if not name:
                    (listed or (lambda handler: send(handler, content)))(self)
                elif name == "model.safetensors" and weights is not None:
                    weights(self)
                else:
                    send(self, FILES[name], ETag='"nothing"')
            except OSError:
                pass

        do_HEAD = do_GET  # noqa: N815  # the name is the server's

    with web_server.serving(Handler) as address:
        yield address


def endless(handler: BaseHTTPRequestHandler, pause_s: float = 0.0, piece: bytes = b"x" * 2**16) -> None:
    """Send without end (64 MiB here, so that a fault does not fill the disk of the tests)."""
    for _ in range(1024):
        handler.wfile.write(piece)
        if pause_s:
            time.sleep(pause_s)


def announced(handler: BaseHTTPRequestHandler, then: Reply, **named: object) -> None:
    """Answer HEAD with 100 bytes, and GET with something else."""
    if handler.command == "HEAD":
        headers(handler, Content_Length=100, ETag='"' + "0" * 64 + '"')
    else:
        headers(handler, **named)
        then(handler)
