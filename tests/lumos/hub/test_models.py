"""Names -> folders, and downloads from a small server on localhost that speaks the hub's protocol."""

import hashlib
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from lumos.hub import models as hub
from lumos.hub import transfer

COMMIT = "c0ffee" * 6 + "c0ff"
NAME = "1B/stage-2-joint"


def safetensors_bytes(num_floats: int) -> bytes:
    header = json.dumps({"x": {"dtype": "F32", "shape": [num_floats], "data_offsets": [0, 4 * num_floats]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(range(256)) * (4 * num_floats // 256)


SHARD = safetensors_bytes(50_048)
INDEX = json.dumps({"weight_map": {"x": "model-00001-of-00001.safetensors"}}).encode()
REPOS: dict[str, dict[str, bytes]] = {
    hub.LUMOS_REPO: {
        f"{NAME}/config.json": b'{"model_type": "chameleon"}',
        f"{NAME}/model.safetensors.index.json": INDEX,
        f"{NAME}/model-00001-of-00001.safetensors": SHARD,
        f"{NAME}/pytorch_model.bin": b"not wanted",
        f"{NAME}/optimizer.00001.pth": b"not wanted",
        "1B/stage-2-joint-384p/config.json": b"{}",
        "tokenizer/text_tokenizer.json": b'{"version": "1.0"}',
    },
    hub.COSMOS_REPO: {
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


@pytest.fixture
def server() -> Iterator[Hub]:
    state = Hub()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"state": state}))
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    yield state
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lumos.hub.transfer.time.sleep", lambda seconds: None)


def fake_model(folder: Path) -> Path:
    (folder / "visual_tokenizer").mkdir(parents=True)
    for name in ("config.json", "text_tokenizer.json"):
        (folder / name).write_text("{}")
    for name in ("model.safetensors", "visual_tokenizer/encoder.jit", "visual_tokenizer/decoder.jit"):
        (folder / name).write_bytes(b"x")
    return folder


def without_a_shard(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_bytes(INDEX)


# --- names ------------------------------------------------------------------------------------------------------------


def test_the_default_name_is_the_bundled_folder_with_its_own_tokenizers(tmp_path: Path) -> None:
    folder = fake_model(tmp_path / "lumos-tiny")
    (folder / "generation_config.json").write_text('{"width": 64, "fps": 6}')
    files = hub.resolve(root=tmp_path)
    assert (files.model, files.text_tokenizer) == (folder, folder / "text_tokenizer.json")
    assert files.visual_tokenizer == folder / "visual_tokenizer"
    assert files.defaults == {"width": 64, "fps": 6}


def test_a_released_tree_placed_by_hand_uses_the_shared_tokenizers(tmp_path: Path) -> None:
    folder = tmp_path / "3B" / "stage-1-image"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"x")
    text = tmp_path / "cosmos/tokenizer/text_tokenizer.json"
    visual = tmp_path / "cosmos/Cosmos-Tokenizer-DV4x8x8"
    for place in (text, visual / "encoder.jit", visual / "decoder.jit"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"x")
    for name in ("3B/stage-1-image", str(folder)):
        files = hub.resolve(name, tmp_path)
        assert (files.text_tokenizer, files.visual_tokenizer) == (text, visual)
        assert files.defaults == {"width": 448, "height": 256, "num_frames": 1}


def test_a_folder_anywhere_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fake_model(tmp_path / "runs" / "mine")
    monkeypatch.chdir(tmp_path)
    assert hub.resolve("runs/mine", tmp_path / "ckpts").model == Path("runs/mine")
    assert hub.resolve(folder, tmp_path / "ckpts").model == folder


@pytest.mark.parametrize("name", ["1B/stage-1-image", "3B/v2-stage2-joint-384p-sft", "someone/little/run"])
def test_an_absent_model_names_the_command_that_brings_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"run: lumos download {name}$"):
        hub.resolve(name, tmp_path)


def test_a_misspelt_name_is_corrected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 1B/stage-1-image"):
        hub.resolve("1B/stage-1-imag", tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no weights"),
        (without_a_shard, "lacks model-00001-of-00001"),
        (lambda folder: (folder / "model.safetensors.ab.part").touch(), "not finished"),
        (lambda folder: (folder / "text_tokenizer.json").unlink(), "no text tokenizer"),
        (lambda folder: (folder / "visual_tokenizer/decoder.jit").unlink(), "no visual tokenizer"),
        (
            lambda folder: (folder / "generation_config.json").write_text("{"),
            "generation_config.json is not valid JSON",
        ),
    ],
)
def test_an_incomplete_folder_says_what_it_lacks(spoil: object, message: str, tmp_path: Path) -> None:
    spoil(fake_model(tmp_path / "lumos-tiny"))  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        hub.resolve(root=tmp_path)


# --- downloads --------------------------------------------------------------------------------------------------------


def test_a_released_name_lands_in_the_documented_layout(server: Hub, tmp_path: Path) -> None:
    assert hub.download(NAME, tmp_path, endpoint=server.url) == tmp_path / NAME
    assert (tmp_path / NAME / "model-00001-of-00001.safetensors").read_bytes() == SHARD
    assert hub.resolve(NAME, tmp_path).text_tokenizer == tmp_path / "cosmos/tokenizer/text_tokenizer.json"
    landed = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    model = {
        f"{NAME}/{file}" for file in ("config.json", "model.safetensors.index.json", "model-00001-of-00001.safetensors")
    }
    pair = {f"cosmos/Cosmos-Tokenizer-DV4x8x8/{file}.jit" for file in ("encoder", "decoder", "autoencoder")}
    assert landed == model | pair | {"cosmos/tokenizer/text_tokenizer.json"}


def test_a_second_download_only_checks(server: Hub, tmp_path: Path) -> None:
    hub.download(NAME, tmp_path, endpoint=server.url)
    server.gets.clear()
    hub.download(NAME, tmp_path, endpoint=server.url)
    assert server.gets == []


def test_a_file_that_was_changed_on_disk_is_replaced(server: Hub, tmp_path: Path) -> None:
    weights = hub.download(NAME, tmp_path, endpoint=server.url) / "model-00001-of-00001.safetensors"
    weights.write_bytes(b"?" + SHARD[1:])
    hub.download(NAME, tmp_path, endpoint=server.url)
    assert weights.read_bytes() == SHARD


def test_a_hub_id_with_a_folder_brings_its_own_tokenizers(server: Hub, tmp_path: Path) -> None:
    hub.download("someone/little/run", tmp_path, endpoint=server.url)
    files = hub.resolve("someone/little/run", tmp_path)
    assert files.model == tmp_path / "someone/little/run"
    assert files.visual_tokenizer == files.model / "visual_tokenizer"
    assert not (tmp_path / "cosmos").exists()


def test_the_shared_tokenizers_are_brought_alone_too(server: Hub, tmp_path: Path) -> None:
    assert hub.download("cosmos", tmp_path, endpoint=server.url) == tmp_path / "cosmos"
    assert (tmp_path / "cosmos/Cosmos-Tokenizer-DV4x8x8/decoder.jit").read_bytes() == b"D" * 777
    assert (tmp_path / "cosmos/tokenizer/text_tokenizer.json").is_file()


def test_a_connection_cut_once_is_taken_up_with_a_range_request(server: Hub, tmp_path: Path) -> None:
    server.cut_at = 12_345
    folder = hub.download(NAME, tmp_path, endpoint=server.url)
    assert server.ranges == ["bytes=12345-"]
    assert (folder / "model-00001-of-00001.safetensors").read_bytes() == SHARD


def test_a_broken_transfer_leaves_a_part_and_the_next_run_resumes_it(server: Hub, tmp_path: Path) -> None:
    server.cut_at, server.refuse_ranges = 23_456, True
    with pytest.raises(transfer.TransferError, match=r"500 .* what has arrived is kept"):
        hub.download(NAME, tmp_path, endpoint=server.url)
    weights = tmp_path / NAME / "model-00001-of-00001.safetensors"
    assert not weights.exists()
    (part,) = weights.parent.glob("*.part")
    assert part.read_bytes() == SHARD[:23_456]
    with pytest.raises(ValueError, match="not finished"):
        hub.resolve(NAME, tmp_path)
    server.refuse_ranges = False
    server.ranges.clear()
    hub.download(NAME, tmp_path, endpoint=server.url)
    assert server.ranges == ["bytes=23456-"]
    assert weights.read_bytes() == SHARD
    assert not part.exists()


def test_a_damaged_file_is_refused_and_never_gets_its_name(server: Hub, tmp_path: Path) -> None:
    server.damage = True
    with pytest.raises(transfer.TransferError, match=r"damaged \(its SHA-256 is not the hub's\)"):
        hub.download(NAME, tmp_path, endpoint=server.url)
    assert not list((tmp_path / NAME).glob("*.safetensors*.part"))
    assert not (tmp_path / NAME / "model-00001-of-00001.safetensors").exists()
    server.damage = False
    hub.download(NAME, tmp_path, endpoint=server.url)


def test_a_part_of_another_version_is_thrown_away(server: Hub, tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir(parents=True)
    (tmp_path / NAME / "model-00001-of-00001.safetensors.0123456789ab.part").write_bytes(b"older")
    folder = hub.download(NAME, tmp_path, endpoint=server.url)
    assert server.ranges == []
    assert not list(folder.glob("*.part"))


def test_a_gated_repository_says_how_to_be_let_in(server: Hub, tmp_path: Path) -> None:
    server.gated = hub.COSMOS_REPO
    with pytest.raises(transfer.TransferError, match=r"accept it at .*Cosmos.*`hf auth login`"):
        hub.download(NAME, tmp_path, endpoint=server.url)


def test_an_unknown_repository_folder_or_revision_is_named(server: Hub, tmp_path: Path) -> None:
    with pytest.raises(transfer.TransferError, match="no repository no/body"):
        hub.download("no/body", tmp_path, endpoint=server.url)
    with pytest.raises(ValueError, match="the repository holds no model; folders with one: 'run'"):
        hub.download("someone/little", tmp_path, endpoint=server.url)
    with pytest.raises(transfer.TransferError, match="no such revision"):
        hub.download("someone/little/run", tmp_path, revision="v9", endpoint=server.url)
    with pytest.raises(ValueError, match="part of a checkout"):
        hub.download("lumos-tiny", tmp_path, endpoint=server.url)
    with pytest.raises(ValueError, match="is no model on the hub"):
        hub.download("1B/stage-9", tmp_path, endpoint=server.url)


def test_no_network_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(transfer.TransferError, match=r"broke off .*check the network to http://127.0.0.1:9 .*resumes"):
        hub.download(NAME, tmp_path, endpoint="http://127.0.0.1:9")


def test_a_download_that_does_not_fit_is_refused_before_it_starts(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_SPARE_BYTES", 2**60)
    with pytest.raises(transfer.TransferError, match="GiB free; make room"):
        hub.download(NAME, tmp_path, endpoint=server.url)
    assert server.gets == []


def test_a_disk_that_fills_up_keeps_the_part_and_says_so(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transfer, "_append", full)
    with pytest.raises(transfer.TransferError, match=r"the disk is full while downloading .* it resumes"):
        hub.download(NAME, tmp_path, endpoint=server.url)


def test_hf_endpoint_of_the_environment_is_used(server: Hub, tmp_path: Path) -> None:
    code = f"from lumos.hub import models as hub; print(hub.download({NAME!r}, {str(tmp_path)!r}))"
    environment = {**os.environ, "HF_ENDPOINT": server.url, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / NAME)


@pytest.mark.parametrize(
    ("content", "message"), [(SHARD[:-5], "bytes where its header says"), (b"<html>", "no safetensors")]
)
def test_a_cut_safetensors_file_is_recognised_by_its_header(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(SHARD)
    transfer.check_safetensors(path)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        transfer.check_safetensors(path)
