"""`lumos generate --stream`: a file to watch while it grows; once whole, the same output as without."""

import json
import re
from pathlib import Path

import av
import pytest

from lumos.cli.jobs import streaming
from lumos.lumos1.generation.frame_stream import LumosStream
from tests.lumos.cli.console import Lumos, files_in, frames_of

WORDS = ("generate", "--prompt", "a red circle", "--seed", "7")


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0)]


def record(path: str) -> dict[str, object]:
    entries = json.loads(Path(f"{path}.json").read_text())
    return {name: value for name, value in entries.items() if name not in ("seconds", "output", "output_hash")}


def test_the_finished_output_is_that_of_a_run_without_it_but_for_the_container(lumos: Lumos) -> None:
    assert lumos(*WORDS, "--out", "whole.mp4")[0] == 0
    status, said, _ = lumos(*WORDS, "--stream", "--out", "streamed.mp4")
    assert status == 0
    told, done = said.splitlines()
    assert re.match(r"streamed\.mp4  grows in \.making\..*/streamed\.mp4; to watch: mpv appending://", told)
    assert done.startswith("streamed.mp4  seed 7  ")
    assert packets(Path("streamed.mp4")) == packets(Path("whole.mp4"))
    assert frames_of(Path("streamed.mp4")) == 9
    assert record("streamed.mp4") == record("whole.mp4")
    assert files_in(Path()) == ["streamed.mp4", "streamed.mp4.json", "whole.mp4", "whole.mp4.json"]


def test_a_streamed_output_is_finished_for_any_later_run(lumos: Lumos) -> None:
    assert lumos(*WORDS, "--stream", "--out", "clip.mp4")[0] == 0
    before = Path("clip.mp4").read_bytes()
    for more in ((), ("--stream",)):
        status, said, _ = lumos(*WORDS, *more, "--out", "clip.mp4")
        assert (status, "finished before" in said) == (0, True)
    assert Path("clip.mp4").read_bytes() == before


def test_the_file_that_grows_can_be_opened_before_the_clip_is_whole(
    lumos: Lumos, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    following = LumosStream.__next__

    def look(stream: LumosStream) -> object:
        for growing in Path().glob(".making.*/clip.mp4"):
            if growing.stat().st_size > 1000:
                seen.append(frames_of(growing))
        return following(stream)

    monkeypatch.setattr(LumosStream, "__next__", look)
    assert lumos(*WORDS, "--num-frames", "17", "--stream", "--out", "clip.mp4")[0] == 0
    assert seen == sorted(seen)
    assert 0 < seen[0] < seen[-1] < 17


def test_stopped_on_its_way_it_leaves_nothing(lumos: Lumos, monkeypatch: pytest.MonkeyPatch) -> None:
    following, asked = LumosStream.__next__, []

    def stop(stream: LumosStream) -> object:
        asked.append(1)
        if len(asked) > 3:
            raise KeyboardInterrupt
        return following(stream)

    monkeypatch.setattr(LumosStream, "__next__", stop)
    status, _, error = lumos(*WORDS, "--stream", "--out", "clip.mp4")
    assert status == 130
    assert "stopped" in error
    assert files_in(Path()) == []


def test_a_model_whose_frames_come_at_once_says_so(lumos: Lumos) -> None:
    status, said, _ = lumos("generate", "--prompt", "a red circle", "--model", "lumina-tiny", "--seed", "1", "--stream")
    assert status == 0
    assert "this model finishes all frames at once, at the end: there is nothing to watch before" in said
    assert files_in(Path("outputs")) == ["a-red-circle-seed1.mp4", "a-red-circle-seed1.mp4.json"]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--out", "clip.gif"), "--stream is for mp4 files, and clip.gif is none"),
        (("--num-frames", "1"), "--stream is for mp4 files, and a-red-circle-seed7.png is none"),
        (("--prompt", "a box", "--batch-size", "2"), "--stream makes one clip after another; leave --batch-size out"),
    ],
)
def test_what_cannot_be_watched_is_refused_before_a_model_is_loaded(
    lumos: Lumos, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], fault: str
) -> None:
    monkeypatch.setattr(streaming, "stream_jobs", None)
    status, _, error = lumos(*WORDS, "--stream", *words)
    assert (status, fault in error) == (2, True)
    assert files_in(Path()) == []
