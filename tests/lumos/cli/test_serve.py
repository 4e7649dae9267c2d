"""`lumos serve`: what it says, and a server in a process of its own, with OpenAI's client, and killed."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lumos.cli.commands import parser
from lumos.cli.serve import _hosts
from tests.lumos.cli.console import Lumos

KEY = "a-key-of-some-length"


def test_a_dry_run_says_what_would_be_served_and_touches_nothing(lumos: Lumos, tmp_path: Path) -> None:
    words = ["--model", "lumos-tiny", "--model", "lumina-tiny", "--port", "9000", "--most-frames", "40"]
    status, out, err = lumos("serve", "--dry-run", *words)
    assert (status, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines()[:2]] == [["model", "lumos-tiny:"], ["model", "lumina-tiny:"]]
    assert "http://127.0.0.1:9000, for this machine alone, no API key" in out
    assert "40 frames" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "--host is 0.0.0.0"),
        (["--port", "70000"], "--port is 70000"),
        (["--most-queued", "0"], "--most-queued is 0"),
        (["--keep-hours", "nan"], "--keep-hours is nan"),
        (["--model", "lumos-tniy"], "did you mean lumos-tiny"),
        (["--model", "lumos-tiny", "--model", "lumos-tiny"], "there is another 'lumos-tiny'"),
        (["--tiled"], "is for Lumina-Video"),
        (["--api-key-file", "keys.txt"], "--api-key-file is keys.txt"),
        (["--api-key-file", "short.txt"], "too short"),
        (["--data", "file.txt"], "file.txt"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_served_is_said_in_one_line(lumos: Lumos, tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "short.txt").write_text("key\n")
    status, _, err = lumos("serve", "--dry-run", *words)
    assert (status, err.count("\n")) == (2, 1)
    assert said in err


def test_an_open_address_takes_a_key_or_the_word_that_there_is_none(lumos: Lumos, tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text(f"{KEY}\n\n{KEY}2\n")
    for words, said in (["--api-key-file", "keys.txt"], "2 API keys"), (["--without-key"], "no API key"):
        status, out, err = lumos("serve", "--dry-run", "--host", "0.0.0.0", *words)
        assert (status, err) == (0, "")
        assert f"for whoever reaches it, {said}" in out


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], {"localhost", "127.0.0.1", "::1"}),
        (["--allow-host", "box.lan"], {"localhost", "127.0.0.1", "::1", "box.lan"}),
        (["--host", "0.0.0.0", "--without-key"], {"localhost", "127.0.0.1", "::1", "0.0.0.0", socket.gethostname()}),
        (["--host", "0.0.0.0", "--api-key-file", "keys.txt"], None),
    ],
    ids=["loopback", "allowed", "without-key", "key"],
)
def test_where_no_key_is_asked_for_no_page_can_give_the_server_a_name(words: list[str], names: set[str] | None) -> None:
    found = _hosts(parser().parse_args(["serve", *words]))
    assert (found if found is None else set(found)) == names


@contextmanager
def server(data: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Address and process of a server of the bundled model."""
    command = [sys.executable, "-m", "lumos", "serve", "--port", "0", "--data", str(data), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := re.search(r"listening on (\S+)", line):
                    yield found[1], process
                    break
            else:
                raise AssertionError("it ended before it listened")
        finally:
            process.kill()


def first_event(address: str, video_id: str, wanted: str) -> dict[str, Any]:
    """The first message of a kind among the events of a video."""
    request = urllib.request.Request(
        f"{address}/v1/videos/{video_id}/events", headers={"Authorization": f"Bearer {KEY}"}
    )
    with urllib.request.urlopen(request, timeout=200) as lines:
        event = ""
        for line in lines:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            event = value if name == "event" else event
            if name == "data" and event == wanted:
                return dict(json.loads(value))
    raise AssertionError(f"there was no {wanted}")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
def test_openais_client_makes_videos_and_a_kill_loses_none(tmp_path: Path) -> None:
    from openai import NotFoundError, OpenAI

    (tmp_path / "key").write_text(KEY)
    words = ("--api-key-file", str(tmp_path / "key"))
    few: dict[str, Any] = {"num_inference_steps": 2, "seed": 1}
    asked: dict[str, Any] = {"prompt": "a red circle moves to the right", "size": "64x64", "seconds": "1"}
    with (
        server(tmp_path / "data", *words) as (address, process),
        OpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0) as client,
    ):
        with pytest.raises(NotFoundError):
            client.videos.create(**asked, model="sora-2")
        done = client.videos.create_and_poll(**asked, model="lumos-tiny", extra_body=few, poll_interval_ms=100)
        assert (done.status, done.progress, done.seconds, done.size) == ("completed", 100, "1", "64x64")
        content = client.videos.download_content(done.id).read()
        assert content[4:8] == b"ftyp"
        assert client.videos.download_content(done.id, variant="thumbnail").read()[8:12] == b"WEBP"
        begun = client.videos.create(**{**asked, "seconds": "2"}, extra_body={**few, "num_inference_steps": 6})
        waiting = client.videos.create(**asked, extra_body=few)
        first_event(address, begun.id, "video.frame")
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "data" / begun.id / "video.mp4").exists()

    with (
        server(tmp_path / "data", *words) as (address, process),
        OpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0) as client,
    ):
        assert client.videos.poll(begun.id, poll_interval_ms=100).status == "completed"
        assert client.videos.poll(waiting.id, poll_interval_ms=100).status == "completed"
        assert {one.id for one in client.videos.list()} == {done.id, begun.id, waiting.id}
        again = client.videos.download_content(waiting.id).read()
        assert again == content == client.videos.download_content(done.id).read()  # the same request and seed
        assert [path.name for path in (tmp_path / "data" / begun.id).iterdir() if path.name.startswith(".")] == []
        last = client.videos.create(**asked, extra_body=few)
        first_event(address, last.id, "video.frame")
        process.send_signal(signal.SIGTERM)  # what is in work is finished first
        assert process.wait(timeout=200) == 143
    assert (tmp_path / "data" / last.id / "video.mp4").exists()
