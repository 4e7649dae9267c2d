"""Pictures by their address: over https, within bounds, decoded before they count, kept beside the outputs."""

import argparse
import io
import json
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumos.cli.generation import picture_address
from lumos.cli.generation.picture_address import fetched, is_address
from lumos.hub.connection import AnswerError
from tests.lumos.cli.console import Lumos, files_in
from tests.web_server import serving


def png(seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.RandomState(seed).randint(0, 256, (64, 96, 3), dtype=np.uint8)).save(file, format="PNG")
    return file.getvalue()


ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/in/A%20start.png": (200, {}, png()),
    "/other.png": (200, {}, png(seed=1)),
    "/inside.png": (302, {"Location": "http" + "://localhost:9/a.png"}, b""),
    "/page": (200, {"Content-Type": "image/png"}, b"<html>no picture</html>"),
    "/clip.mp4": (200, {}, b"\0\0\0\x18ftypisom" + bytes(50)),
    "/large.png": (200, {}, bytes(5000)),
    "/gone.png": (404, {}, b""),
    "/moved.png": (302, {"Location": "/in/A%20start.png"}, b""),
    "/away.png": (302, {"Location": "ftp://localhost/a.png"}, b""),
    "/round.png": (302, {"Location": "/round.png"}, b""),
    "/packed.png": (200, {"Content-Encoding": "gzip"}, b"x"),
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a small server, which is taken for one of https."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(dict(self.headers))
            status, headers, body = ANSWERS[self.path]
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_: object) -> None:
            pass

    asked: list[dict[str, str]] = []
    monkeypatch.setattr(picture_address, "_SCHEMES", ("https", "http"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("NO_PROXY", "*")
    with serving(Handler) as address:
        yield address
    assert not [headers for headers in asked if "Authorization" in headers or "secret" in str(headers)]


def test_an_address_is_told_from_a_file() -> None:
    assert [is_address(text) for text in ("https" + "://a/b.png", "HTTP" + "://a", "file" + ":///a.png")] == [True] * 3
    assert [is_address(text) for text in ("a.png", "C:/a.png", "https/a.png", "in/https:")] == [False] * 4


def test_a_picture_by_its_address_starts_a_clip_and_is_kept_beside_it(lumos: Lumos, server: str) -> None:
    words = ("generate", "--prompt", "it moves", "--num-frames", "5", "--seed", "1", "--out", "many/clip.gif")
    address = f"{server}/in/A%20start.png"
    status, _, error = lumos(*words, "--image", address)
    assert (status, error) == (0, "")
    record = json.loads(Path("many/clip.gif.json").read_text())
    assert Path("many", record["image"]).read_bytes() == png()
    assert record["image"].endswith(".png")
    assert files_in(Path()) == ["clip.gif", "clip.gif.json", record["image"]]  # and no second copy
    assert lumos("generate", "--from-json", "many/clip.gif.json", "--out", "many/again.gif")[0] == 0
    assert Path("many/again.gif").read_bytes() == Path("many/clip.gif").read_bytes()


def test_the_picture_of_a_record_may_be_named_by_its_address(lumos: Lumos, server: str) -> None:
    words = ("generate", "--prompt", "it moves", "--num-frames", "5", "--seed", "1", "--out", "many/clip.gif")
    assert lumos(*words, "--image", f"{server}/in/A%20start.png")[0] == 0
    Path("many", json.loads(Path("many/clip.gif.json").read_text())["image"]).unlink()
    again = ("generate", "--from-json", "many/clip.gif.json", "--out", "again.gif", "--image")
    assert lumos(*again, f"{server}/moved.png")[0] == 0
    assert Path("again.gif").read_bytes() == Path("many/clip.gif").read_bytes()
    assert "is another picture" in lumos(*again, f"{server}/other.png")[2]


def test_the_same_picture_makes_nothing_twice(lumos: Lumos, server: str) -> None:
    words = ("generate", "--prompt", "it moves", "--num-frames", "5", "--image", f"{server}/in/A%20start.png")
    assert lumos(*words)[0] == 0
    before = files_in(Path())
    assert "finished before" in lumos(*words)[1]
    assert files_in(Path()) == before


def test_a_dry_run_keeps_nothing(lumos: Lumos, server: str) -> None:
    words = ("generate", "--prompt", "it moves", "--num-frames", "5", "--image", f"{server}/moved.png", "--dry-run")
    status, said, error = lumos(*words)
    assert (status, error) == (0, "")
    assert "1 of 96x64" in said
    assert files_in(Path()) == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/page", "what it brings is no picture (cannot identify image file"),
        ("/large.png", "not fetched (it is larger than 0 MiB); download it, and give the file"),
        ("/gone.png", "not fetched (the server answers 404); download it, and give the file"),
        ("/away.png", "leads to ftp://, and only https:// is fetched; download it, and give the file"),
        ("/inside.png", "not fetched (it redirects to 'localhost', which is "),
        ("/round.png", "not fetched (it redirects more than 5 times)"),
        ("/packed.png", "not fetched (it sends the file packed ('gzip'), which was not asked for)"),
    ],
)
def test_what_is_no_picture_within_bounds_is_one_line(
    lumos: Lumos, server: str, path: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "large" in path:
        monkeypatch.setattr(picture_address, "MOST_BYTES", 4000)
    status, said, error = lumos("generate", "--prompt", "it moves", "--image", f"{server}{path}")
    assert (status, said, error.count("\n")) == (2, "", 1)
    assert f"--image {server}{path}" in error
    assert message in error
    assert files_in(Path()) == []


@pytest.mark.parametrize("scheme", ["http", "ftp", "file", "HTTP"])
def test_only_https_is_fetched(lumos: Lumos, scheme: str) -> None:
    address = scheme + "://localhost/a.png"
    status, _, error = lumos("generate", "--prompt", "it moves", "--image", address)
    assert (status, error.count("\n")) == (2, 1)
    assert f"--image {address} is {scheme.lower()}://, and only https:// is fetched" in error


@pytest.mark.parametrize("address", ["https" + "://[::1/a.png", "https" + "://a:b/c.png", "https" + "://"])
def test_what_is_no_address_is_one_line_that_names_it(lumos: Lumos, address: str) -> None:
    status, _, error = lumos("generate", "--prompt", "it moves", "--image", address)
    assert (status, error.count("\n")) == (2, 1)
    assert f"--image {address}: not fetched (" in error


@pytest.mark.parametrize(
    "place", ["127.0.0.1", "10.1.2.3", "192.168.0.7", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1"]
)
def test_no_redirect_leads_into_a_private_network(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0)) for one in ("93.184.216.34", place)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port: found)
    with pytest.raises(AnswerError, match=r"redirects to 'pictures\.example', which is .*, within a private network"):
        picture_address._check_public("pictures.example")
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port: found[:1])
    picture_address._check_public("pictures.example")


def test_files_are_let_be() -> None:
    options = argparse.Namespace(image=["a.png"])
    with fetched(options):
        assert options.image == ["a.png"]


def test_a_server_that_is_not_there_is_one_line(lumos: Lumos, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    sleep: Callable[[float], None] = waited.append
    monkeypatch.setattr("lumos.hub.connection.time.sleep", sleep)
    monkeypatch.setenv("NO_PROXY", "*")
    status, _, error = lumos("generate", "--prompt", "it moves", "--image", "https" + "://127.0.0.1:9/a.png")
    assert (status, error.count("\n")) == (2, 1)
    assert "not fetched (" in error
