"""A hub that is silent, slow, endless or lies: every call ends in time with one line, and nothing of it stays."""

import json
import socket
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from lumos.hub import connection, transfer
from lumos.hub.download import download
from lumos.hub.hashes import HASHES
from tests.lumos.hub.hostile_hub import FILES, Reply, announced, endless, headers, hostile, listing, send


def refused(url: str, folder: Path) -> str:
    """The one line that a download ends with; no file of the weights is there afterwards."""
    with pytest.raises(transfer.TransferError) as caught:
        download("org/name", folder, endpoint=url)
    assert not list(folder.rglob("model*")), list(folder.rglob("*"))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    return str(caught.value)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SILENCE_S", 0.2)
    monkeypatch.setattr(connection, "SMALL_S", 1.0)
    monkeypatch.setattr(connection, "MINUTE_S", 0.5)


def test_a_file_that_goes_on_behind_its_announced_size_is_cut_there(tmp_path: Path) -> None:
    def weights(handler: BaseHTTPRequestHandler) -> None:
        announced(handler, endless, Connection="close")

    with hostile(weights=weights) as url:
        message = refused(url, tmp_path)
    assert f"{url} announced 100 bytes of org/name/model.safetensors and sends more" in message


def test_one_byte_beyond_the_size_is_too_many_even_in_chunks(tmp_path: Path) -> None:
    def chunked(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n")

    def weights(handler: BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        announced(handler, chunked, Transfer_Encoding="chunked")

    with hostile(weights=weights) as url:
        assert "announced 100 bytes" in refused(url, tmp_path)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (None, "does not say how many bytes org/name/model.safetensors has"),
        ("-5", "says '-5' bytes"),
        ("9" * 5000, "says '9999"),
        ("1e3", "says '1e3' bytes"),
        (str(10**14), "GiB free; make room"),
    ],
)
def test_a_size_that_is_none_or_nonsense_is_refused_before_the_first_byte(
    size: str | None, message: str, tmp_path: Path
) -> None:
    def weights(handler: BaseHTTPRequestHandler) -> None:
        assert handler.command == "HEAD"
        headers(handler, ETag='"0"', **({} if size is None else {"X_Linked_Size": size}))

    with hostile(weights=weights) as url:
        assert message in refused(url, tmp_path)


def never(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(3)


def dripping_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    endless(handler, 0.1, b"X-a: b\r\n")


def dripping_body(handler: BaseHTTPRequestHandler) -> None:
    headers(handler, Content_Length=10_000)
    endless(handler, 0.1, b" ")


@pytest.mark.parametrize("listed", [never, dripping_headers, dripping_body])
def test_a_listing_that_does_not_come_ends_in_time(listed: Reply, tmp_path: Path) -> None:
    begun = time.monotonic()
    with hostile(listed=listed) as url:
        message = refused(url, tmp_path)
    assert time.monotonic() - begun < 6
    assert "the transfer of org/name broke off (" in message
    assert f"check the network to {url} and run the same command again" in message


def test_a_socket_that_takes_connections_and_says_nothing_ends_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "no answer for" in refused(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path)


def test_a_file_that_trickles_without_end_is_given_up_and_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SILENCE_S", 5.0)

    def weights(handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "HEAD":
            headers(handler, Content_Length=10_000)
        else:
            headers(handler, Content_Length=10_000)
            endless(handler, 0.1, b"x")

    with hostile(weights=weights) as url, pytest.raises(transfer.TransferError, match=r"bytes in \d+ s\).*it resumes"):
        download("org/name", tmp_path, endpoint=url)
    (part,) = tmp_path.rglob("*.part")
    assert 0 < part.stat().st_size < 100


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 200_000, "not valid JSON (more than 64 levels)"),
        (b"[]", "its sha or its siblings are not as a hub writes them"),
        (b"<html>", "not valid JSON"),
        (listing(sha=5), "not as a hub writes them"),
        (listing(sha="../../up"), "names the commit '../../up', which is none"),
        (listing(siblings=7), "not as a hub writes them"),
        (listing(siblings=[{"rfilename": 7}]), "names 7, which is no path"),
        (listing(siblings=[{"rfilename": "../model.safetensors"}, {"rfilename": "config.json"}]), "lies outside"),
        (listing(siblings=[{"rfilename": "/etc/model.safetensors"}]), "lies outside"),
        (listing(siblings=[{"rfilename": "a\0b"}]), "no path of a file"),
        (
            listing(
                siblings=[{"rfilename": f"model-{n}.safetensors"} for n in range(3000)] + [{"rfilename": "config.json"}]
            ),
            "lists 3001 files of one model",
        ),
    ],
)
def test_a_listing_that_is_none_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    with hostile(listed=lambda handler: send(handler, content)) as url:
        assert message in refused(url, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_listing_without_end_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_MOST_LISTING_BYTES", 2**20)

    def listed(handler: BaseHTTPRequestHandler) -> None:
        headers(handler, Connection="close")
        endless(handler)

    with hostile(listed=listed) as url:
        assert "sends more than 1048576 bytes where a small file is expected" in refused(url, tmp_path)


def test_an_error_without_end_is_not_read(tmp_path: Path) -> None:
    def listed(handler: BaseHTTPRequestHandler) -> None:
        headers(handler, 500, Connection="close")
        endless(handler, 0.05)

    begun = time.monotonic()
    with hostile(listed=listed) as url:
        assert "the hub answered 500 for org/name" in refused(url, tmp_path)
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize("packed", ["gzip", "br", "deflate"])
def test_what_is_packed_is_not_unpacked(packed: str, tmp_path: Path) -> None:
    with hostile(listed=lambda handler: send(handler, b"bomb", Content_Encoding=packed)) as url:
        assert f"sends the file packed ('{packed}')" in refused(url, tmp_path)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("http://localhost:1/elsewhere", "redirects to 'http://localhost'"),
        ("ftp://127.0.0.1/x", "redirects to 'ftp://127.0.0.1'"),
        ("/again", "redirects more than 8 times"),
    ],
)
def test_a_redirect_leads_to_https_or_to_the_same_host_and_ends(place: str, message: str, tmp_path: Path) -> None:
    with hostile(listed=lambda handler: headers(handler, 302, Location=place, Content_Length=0)) as url:
        assert message in refused(url, tmp_path)


def test_a_redirect_on_the_same_host_is_followed(tmp_path: Path) -> None:
    def listed(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/moved":
            send(handler, listing())
        else:
            headers(handler, 307, Location="/moved", Content_Length=0)

    with hostile(listed=listed) as url:
        assert transfer.open_snapshot("org/name", endpoint=url).files == tuple(sorted(FILES))


def test_the_right_number_of_bytes_with_another_hash_is_thrown_away(tmp_path: Path) -> None:
    def weights(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"y" * 100, ETag='"' + "0" * 64 + '"')

    with hostile(weights=weights) as url:
        assert "its SHA-256 is not the hub's" in refused(url, tmp_path)


def test_the_whole_model_of_an_honest_hub_comes_with_its_hashes(tmp_path: Path) -> None:
    from tests.lumos.hub.hub_server import SHARD

    with hostile(weights=lambda handler: send(handler, SHARD)) as url:
        folder = download("org/name", tmp_path, endpoint=url)
    kept: Mapping[str, Any] = json.loads((folder / HASHES).read_text())
    assert kept.keys() == {"config.json", "model.safetensors", "text_tokenizer.json"}
    assert kept["model.safetensors"]["size"] == len(SHARD)
    assert (folder / "visual_tokenizer" / HASHES).is_file()
