"""A hub of Hugging Face on this machine that knows as much as reading files by `hf://` asks of it."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

from tests.web_server import serving

_ASKED = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(tree|paths-info|revision)/main(?:/(.*))?)?")
_FILE = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/main/(.+)")


@contextmanager
def small_hub(
    files: Mapping[str, bytes], *, faults: list[int] | None = None, sent: list[int] | None = None
) -> Iterator[str]:
    """A context with the address of a hub of these files, by `datasets/org/name/a.csv` or `models/org/name/x`.

    `faults` are statuses of the next answers to who asks for the content of a file, until none is left; to `sent` goes
    how many bytes of a file each other answer has.
    """

    class Hub(_Hub):
        held, waiting = files, faults if faults is not None else []
        told = sent if sent is not None else []

    with serving(Hub) as address:
        yield address


class _Hub(BaseHTTPRequestHandler):
    held: Mapping[str, bytes]
    waiting: list[int]
    told: list[int]
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer what is asked of a repository, or with the content of a file."""
        path = unquote(urlsplit(self.path).path)
        if found := _FILE.fullmatch(path):
            self._content(f"{found[1] or 'models'}/{found[2]}/{found[3]}")
        elif found := _ASKED.fullmatch(path):
            self._told(found[1], found[2], found[3], found[4] or "")
        else:
            self._say(404, b"")

    do_HEAD = do_GET  # noqa: N815  as http.server names them
    do_POST = do_GET  # noqa: N815

    def _told(self, kind: str, repo: str, what: str | None, below: str) -> None:
        asked = parse_qs(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
        names = {name.removeprefix(f"{kind}/{repo}/"): content for name, content in self.held.items()
                 if name.startswith(f"{kind}/{repo}/")}  # fmt: skip
        if not names:
            self._say(404, b"", {"X-Error-Code": "RepoNotFound"})
            return
        folders = {name[:end] for name in names for end in range(len(name)) if name[end] == "/"}
        entries = [
            *({"type": "directory", "oid": "0", "size": 0, "path": name} for name in folders),
            *({"type": "file", "oid": _hash(held), "size": len(held), "path": name} for name, held in names.items()),
        ]
        match what:
            case "paths-info":
                found = [entry for entry in entries if entry["path"] in asked["paths"]]
            case "tree":
                deep = parse_qs(urlsplit(self.path).query).get("recursive", [""])[0].lower() == "true"
                begin = f"{below}/" if below else ""
                rest = {str(entry["path"]): str(entry["path"]).removeprefix(begin) for entry in entries}
                found = [one for one in entries if str(one["path"]).startswith(begin)
                         and (deep or "/" not in rest[str(one["path"])])]  # fmt: skip
                if not found:
                    self._say(404, b"", {"X-Error-Code": "EntryNotFound"})
                    return
            case _:
                self._say(200, json.dumps({"id": repo, "sha": "0" * 40, "siblings": []}).encode())
                return
        self._say(200, json.dumps(found).encode())

    def _content(self, name: str) -> None:
        if self.waiting:
            self._say(self.waiting.pop(0), b"")
            return
        if (content := self.held.get(name)) is None:
            self._say(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        more = {"ETag": f'"{_hash(content)}"', "X-Repo-Commit": "0" * 40, "Accept-Ranges": "bytes"}
        if part := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            begin, end = int(part[1]), int(part[2] or len(content) - 1)
            more["Content-Range"] = f"bytes {begin}-{min(end, len(content) - 1)}/{len(content)}"
            content = content[begin : end + 1]
        self.told += [len(content)] if self.command == "GET" else []
        self._say(206 if part else 200, content, more)

    def _say(self, status: int, content: bytes, more: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _hash(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()  # as git has it; nothing is trusted on it
