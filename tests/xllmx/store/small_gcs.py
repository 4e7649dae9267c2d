"""A Google Cloud Storage on this machine that knows as much as `gs://` asks of it here."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from threading import Lock
from urllib.parse import parse_qs, unquote, urlsplit

from tests.web_server import serving

_OBJECT = re.compile(r"(?:/download)?/storage/v1/b/([^/]+)/o(?:/(.+))?")
_UPLOAD = re.compile(r"/upload/storage/v1/b/([^/]+)/o")


@contextmanager
def small_gcs() -> Iterator[str]:
    """A context with the address of a store that has the bucket `bucket`, and nothing in it."""

    class Store(_Store):
        held, guard = {}, Lock()

    with serving(Store) as address:
        yield address


class _Store(BaseHTTPRequestHandler):
    held: dict[str, tuple[bytes, str]]
    """Content and time of each object."""
    guard: Lock
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _asked(self) -> tuple[str, str, dict[str, str]]:
        """Bucket, object and the rest of what is asked for."""
        parts = urlsplit(self.path)
        found = _OBJECT.fullmatch(parts.path) or _UPLOAD.fullmatch(parts.path)
        words = {name: values[0] for name, values in parse_qs(parts.query).items()}
        return (
            (unquote(found[1]), unquote(found[2] or "") if found.re is _OBJECT else "", words)
            if found
            else ("", "", {})
        )

    def do_GET(self) -> None:
        """Answer with an object, what is known of it, or a list."""
        bucket, name, words = self._asked()
        if bucket != "bucket" or (name and name not in self.held):
            self._say(404, {})
        elif not name:
            self._say(200, self._listed(words.get("prefix", ""), words.get("delimiter", "")))
        elif words.get("alt") == "media":
            content = self.held[name][0]
            part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
            if part and int(part[1]) >= len(content):
                self._say(416, {})
            else:
                self._say(
                    206 if part else 200, content[int(part[1]) : int(part[2] or len(content)) + 1] if part else content
                )
        else:
            self._say(200, self._told(name))

    def do_POST(self) -> None:
        """Keep an object: a part of JSON, then its content."""
        bucket, _, words = self._asked()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if bucket != "bucket" or words.get("uploadType") != "multipart":
            self._say(404 if bucket != "bucket" else 501, {})
            return
        _, said, rest = body.split(b"--==0==", 2)
        name = json.loads(said.split(b"\n\n", 1)[1])["name"]
        content = rest.split(b"\n\n", 1)[1].removesuffix(b"\n--==0==--")
        with self.guard:
            is_new = name not in self.held
            if is_new or words.get("ifGenerationMatch") != "0":
                self.held[name] = (content, datetime.now(UTC).isoformat().replace("+00:00", "Z"))
        self._say(200 if is_new or words.get("ifGenerationMatch") != "0" else 412, self._told(name))

    def do_DELETE(self) -> None:
        """Forget an object."""
        _, name, _ = self._asked()
        self._say(204 if self.held.pop(name, None) else 404, {})

    def _listed(self, prefix: str, delimiter: str) -> dict[str, object]:
        names = sorted(name for name in self.held if name.startswith(prefix))
        below = {name[: name.index("/", len(prefix)) + 1] for name in names if delimiter and "/" in name[len(prefix) :]}
        items = [self._told(name) for name in names if not any(name.startswith(folder) for folder in below)]
        return {"items": items, "prefixes": sorted(below)}

    def _told(self, name: str) -> dict[str, object]:
        content, time = self.held[name]
        return {"name": name, "bucket": "bucket", "size": str(len(content)), "updated": time, "timeCreated": time,
                "generation": str(abs(hash(content))), "etag": str(hash(content))}  # fmt: skip

    def _say(self, status: int, answer: dict[str, object] | bytes) -> None:
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        content = b"" if status == 204 else content
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
