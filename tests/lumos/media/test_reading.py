"""Images and clips from files."""

import errno
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumos.media.crop import crop_to_bucket
from lumos.media.frames import frame_indices
from lumos.media.inputs import pixels_of
from lumos.media.media_error import MediaError
from lumos.media.reading import read_clip, read_image
from lumos.media.writing import write_image, write_video
from tests.lumos.media.pictures import numbered, numbers, synthetic


def test_read_clip_takes_exactly_the_frames_of_the_middle(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(25), fps=8)
    wanted = frame_indices(25, 8, fps=4, duration=2)
    assert list(wanted) == [4, 6, 8, 10, 12, 14, 16, 18]
    clip = read_clip(tmp_path / "a.mp4", fps=4, duration=2)
    assert clip.shape == (8, 32, 48, 3)
    assert numbers(clip) == list(wanted)
    np.testing.assert_array_equal(read_clip(tmp_path / "a.mp4", fps=4, duration=2, frame_choice="released"), clip)


def test_read_clip_crops_each_frame_as_crop_to_bucket_does(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(6, 70, 90), fps=6)
    whole = read_clip(tmp_path / "a.mp4", fps=6, duration=1)
    np.testing.assert_array_equal(read_clip(tmp_path / "a.mp4", fps=6, duration=1, size=64), crop_to_bucket(whole, 64))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.mp4", "missing file"),
        ("text.mp4", "undecodable"),
        ("cut.mp4", "undecodable"),
        ("empty.mp4", "undecodable"),
        ("folder.mp4", "missing file"),
        ("pipe.mp4", "missing file"),
        ("n" * 300 + ".mp4", "missing file"),
        ("null\0.mp4", "missing file"),
        ("good.mp4/a.mp4", "missing file"),
        ("damaged.mp4", "undecodable"),
        ("short.mp4", "too short"),
        ("slow.mp4", "source slower than the target fps"),
    ],
)
def test_a_clip_that_cannot_be_used_says_why(tmp_path: Path, name: str, reason: str) -> None:
    noise = np.random.RandomState(0).randint(0, 256, (16, 64, 96, 3)).astype(np.uint8)
    write_video(tmp_path / "good.mp4", noise, fps=8)
    content = bytearray((tmp_path / "good.mp4").read_bytes())
    (tmp_path / "text.mp4").write_text("no video " * 50)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])
    start = content.index(b"mdat") + 2000
    content[start : start + 5000] = np.random.RandomState(1).bytes(5000)
    (tmp_path / "damaged.mp4").write_bytes(content)
    write_video(tmp_path / "short.mp4", noise[:10], fps=8)
    write_video(tmp_path / "slow.mp4", noise, fps=7)
    assert read_clip(tmp_path / "good.mp4", fps=8, duration=2).shape == (16, 64, 96, 3)
    for frame_choice in ("time", "released"):
        with pytest.raises(MediaError, match=name) as caught:
            read_clip(tmp_path / name, fps=8, duration=2, frame_choice=frame_choice)
        assert caught.value.reason == reason
        assert "\n" not in str(caught.value)
        assert name != "slow.mp4" or "7 fps, asked for 8" in caught.value.detail


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.png", "missing file"),
        ("text.png", "undecodable"),
        ("empty.png", "undecodable"),
        ("n" * 300, "missing file"),
        ("a.eps", "undecodable"),
    ],
)
def test_an_image_that_is_none_says_so(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").touch()
    Image.new("RGB", (6, 4)).save(tmp_path / "a.eps")
    with pytest.raises(MediaError, match=name) as caught:
        read_image(tmp_path / name)
    assert caught.value.reason == reason


def test_a_cut_image_is_undecodable(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", synthetic("noise", 0, 40, 30))
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:1500])
    with pytest.raises(MediaError, match="undecodable"):
        read_image(tmp_path / "cut.png")


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def closed(self: Path, *_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    write_image(tmp_path / "a.png", synthetic("noise", 0, 40, 30))
    for method in ("stat", "open"):  # of a closed folder, of a closed file
        with monkeypatch.context() as patch:
            patch.setattr(Path, method, closed)
            with pytest.raises(MediaError, match=os.strerror(code)) as caught:
                read_image(tmp_path / "a.png")
        assert caught.value.reason == "unreadable file"


@pytest.mark.parametrize(
    "raised",
    [
        RuntimeError("Failed to decode frame 0:\n Decoding failed"),
        MemoryError(),
        NotImplementedError("Unimplemented pixel format 9"),
        TypeError("expected str"),
        AttributeError("no attribute"),
        IndexError("list index out of range"),
        struct.error("unpack requires a buffer of 4 bytes"),
        RecursionError("too deep"),
        OSError(5, "Input/output error \ud83d"),
    ],
)
def test_whatever_a_decoder_raises_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise raised

    write_image(tmp_path / "a.png", synthetic("noise", 0, 40, 30))
    write_video(tmp_path / "a.mp4", numbered(9), fps=8)
    monkeypatch.setattr(Image.Image, "load", stumble)
    monkeypatch.setattr(Image.Image, "convert", stumble)
    monkeypatch.setattr(Image, "fromarray", stumble)
    picture = Image.new("RGB", (4, 3))
    for read in (
        lambda: read_image(tmp_path / "a.png"),
        lambda: read_clip(tmp_path / "a.mp4", fps=8, duration=1),
        lambda: pixels_of(picture),
    ):
        with pytest.raises(MediaError, match="undecodable") as caught:
            read()
        assert str(caught.value).encode().isascii()
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(("the image", str(tmp_path / "a.")))


def test_a_stop_from_the_keyboard_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    write_image(tmp_path / "a.png", synthetic("noise", 0, 40, 30))
    monkeypatch.setattr(Image.Image, "convert", stop)
    with pytest.raises(KeyboardInterrupt):
        read_image(tmp_path / "a.png")


def test_released_media_are_read(shared_data: Path) -> None:
    for path in sorted((shared_data / "media").glob("*.mp4")):
        clip = read_clip(path, fps=12, duration=2, size=352)
        assert clip.shape == (24, 256, 448, 3)
        np.testing.assert_array_equal(clip, read_clip(path, fps=12, duration=2, size=352, frame_choice="released"))
    assert read_image(shared_data / "media" / "red_bus.jpg").shape == (2120, 3710, 3)
