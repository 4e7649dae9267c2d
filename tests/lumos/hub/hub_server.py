"""A small server on localhost that speaks the hub's protocol, and the repositories it holds."""

import hashlib
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

from lumos.hub.models import COSMOS_REPO, LUMINA_REPO, LUMOS_REPO
from tests import web_server

COMMIT = "c0ffee" * 6 + "c0ff"
NAME = "1B/stage-2-joint"


def safetensors_bytes(num_floats: int) -> bytes:
    header = json.dumps({"x": {"dtype": "F32", "shape": [num_floats], "data_offsets": [0, 4 * num_floats]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(range(256)) * (4 * num_floats // 256)


SHARD = safetensors_bytes(50_048)
INDEX = json.dumps({"weight_map": {"x": "model-00001-of-00001.safetensors"}}).encode()
GEMMA_SHARDS = [safetensors_bytes(64 * number) for number in (50, 60)]
GEMMA_INDEX = json.dumps({"weight_map": {c: f"model-0000{i}-of-00002.safetensors" for i, c in ((1, "a"), (2, "b"))}})
VAE_WEIGHTS = safetensors_bytes(4_096)
REPOS: dict[str, dict[str, bytes]] = {
    LUMOS_REPO: {
        f"{NAME}/config.json": b'{"model_type": "chameleon"}',
        f"{NAME}/model.safetensors.index.json": INDEX,
        f"{NAME}/model-00001-of-00001.safetensors": SHARD,
        f"{NAME}/pytorch_model.bin": b"not wanted",
        f"{NAME}/optimizer.00001.pth": b"not wanted",
        "1B/stage-2-joint-384p/config.json": b"{}",
        "tokenizer/text_tokenizer.json": b'{"version": "1.0"}',
    },
    COSMOS_REPO: {
        "encoder.jit": b"E" * 999,
        "decoder.jit": b"D" * 777,
        "autoencoder.jit": b"A" * 555,
        "model.pt": b"no",
    },
    "someone/little": {
        "run/config.json": b"{}",
        "run/model.safetensors": SHARD,
        "run/text_tokenizer.json": b"{}",
        "run/visual_tokenizer/encoder.jit": b"e",
        "run/visual_tokenizer/decoder.jit": b"d",
    },
    LUMINA_REPO: {
        "README.md": b"no",
        "f24R960/model_args.pth": b"arguments",
        "f24R960/consolidated.00-of-01.safetensors": SHARD,
        "f24R960/consolidated.00-of-01.pth": b"not wanted",
        "f24R960/consolidated_ema.00-of-01.pth": b"not wanted",
        "f24R960/optimizer.00000-of-00008.pth": b"not wanted",
    },
    "google/gemma-2-2b": {
        "config.json": b'{"model_type": "gemma2"}',
        "tokenizer.json": b'{"version": "1.0"}',
        "tokenizer.model": b"not wanted",
        "gemma-2-2b.gguf": b"not wanted",
        "model.safetensors.index.json": GEMMA_INDEX.encode(),
        "model-00001-of-00002.safetensors": GEMMA_SHARDS[0],
        "model-00002-of-00002.safetensors": GEMMA_SHARDS[1],
    },
    "THUDM/CogVideoX-2b": {
        "model_index.json": b"{}",
        "text_encoder/model.safetensors": b"not wanted",
        "transformer/diffusion_pytorch_model.safetensors": b"not wanted",
        "vae/config.json": b"{}",
        "vae/diffusion_pytorch_model.safetensors": VAE_WEIGHTS,
    },
    "someone/lumina": {
        "config.json": b'{"model_type": "lumina_video"}',
        "model.safetensors": SHARD,
        "generation_config.json": b"{}",
        "text_encoder/config.json": b"{}",
        "text_encoder/model.safetensors": GEMMA_SHARDS[0],
        "text_encoder/tokenizer.json": b"{}",
        "samples/clip.mp4": b"not wanted",
    },
    "someone/older": {"model_args.pth": b"arguments", "consolidated.00-of-01.pth": b"weights"},
    "someone/pointer": {
        "model_args.pth": b"arguments",
        "consolidated.00-of-01.safetensors": b"version https:" + b"//git-lfs\noid sha256:0\nsize 9\n",
    },
    "someone/llama": {"config.json": b'{"model_type": "llama"}', "model.safetensors": SHARD},
}


@dataclass
class Hub:
    """What the server does, and what it was asked."""

    url: str = ""
    cut_at: int | None = None
    """Bytes of a file of more than 10 kB after which the connection is closed; once."""
    refuse_ranges: bool = False
    damage: bool = False
    gated: str | None = None
    ranges: list[str] = field(default_factory=list)
    gets: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """Answers what a client of the hub asks: a repository's listing, and its files with ETag, length and ranges."""

    protocol_version = "HTTP/1.1"
    state: Hub

    def log_message(self, *args: object) -> None:
        pass

    def reply(self, status: int, body: bytes = b"", *, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        if path.startswith("api/models/"):
            self.listing(*path.removeprefix("api/models/").split("/revision/"))
        else:
            self.file(*path.split(f"/resolve/{COMMIT}/"))

    def listing(self, repo: str, revision: str = "main") -> None:
        self.state.listed.append(repo)
        if repo not in REPOS:
            return self.reply(404, X_Error_Code="RepoNotFound")
        if revision != "main":
            return self.reply(404, X_Error_Code="RevisionNotFound")
        body = {"id": repo, "sha": COMMIT, "siblings": [{"rfilename": name} for name in REPOS[repo]]}
        return self.reply(200, json.dumps(body).encode(), Content_Type="application/json")

    def file(self, repo: str, name: str) -> None:
        if repo == self.state.gated:
            return self.reply(403, X_Error_Code="GatedRepo")
        content = REPOS[repo][name]
        large = len(content) > 10_000
        git = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest() if large else git}"', "X_Repo_Commit": COMMIT}
        if self.command == "HEAD":
            return self.reply(200, length=len(content), **headers)
        self.state.gets.append(name)
        if self.state.damage and large:
            content = content[:-1] + b"?"
        return self.send_content(content, headers, cut=large)

    def send_content(self, content: bytes, headers: dict[str, str], *, cut: bool) -> None:
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if start:
            self.state.ranges.append(self.headers["Range"])
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            if self.state.refuse_ranges:
                return self.reply(500)
        end = None
        if cut and self.state.cut_at is not None:
            end, self.state.cut_at, self.close_connection = start + self.state.cut_at, None, True
        return self.reply(206 if start else 200, content[start:end], length=len(content) - start, **headers)


@contextmanager
def serving() -> Iterator[Hub]:
    """The server, as long as it runs."""
    state = Hub()
    with web_server.serving(type("BoundHandler", (Handler,), {"state": state})) as state.url:
        yield state
