"""Images and clips from files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumos.media import reading
from lumos.media.crop import crop_to_bucket
from lumos.media.frames import MediaError, frame_indices
from lumos.media.reading import read_clip, read_image
from lumos.media.writing import write_image, write_video
from tests.lumos.media.pictures import numbered, numbers, synthetic


def test_a_transparent_image_is_composited_on_white(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0, 0] = (10, 20, 30, 255)
    pixels[0, 1] = (0, 0, 0, 128)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (2, 3, 3)
    assert image[0, 0].tolist() == [10, 20, 30]
    assert np.abs(image[0, 1].astype(int) - 127).max() <= 1
    assert (image[1] == 255).all()


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "RGBA"])
def test_images_of_every_mode_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    Image.new("RGB", (5, 4), "white").convert(mode).save(path)
    assert (read_image(path) == 255).all()
    assert read_image(path).shape == (4, 5, 3)


def test_sixteen_bit_images_are_scaled_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 5), 0x8000, np.uint16)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 0x80).all()


def test_a_sideways_photo_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to show
    Image.new("RGB", (6, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (6, 4, 3)


def test_read_clip_takes_exactly_the_frames_of_the_middle(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(25), fps=8)
    wanted = frame_indices(25, 8, fps=4, duration=2)
    assert list(wanted) == [4, 6, 8, 10, 12, 14, 16, 18]
    clip = read_clip(tmp_path / "a.mp4", fps=4, duration=2)
    assert clip.shape == (8, 32, 48, 3)
    assert numbers(clip) == list(wanted)


def test_read_clip_crops_each_frame_as_crop_to_bucket_does(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(6, 70, 90), fps=6)
    whole = read_clip(tmp_path / "a.mp4", fps=6, duration=1)
    np.testing.assert_array_equal(read_clip(tmp_path / "a.mp4", fps=6, duration=1, size=64), crop_to_bucket(whole, 64))


def test_read_clip_decodes_no_further_than_it_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.mp4", numbered(25), fps=8)
    converted = []
    pixels = reading._pixels
    monkeypatch.setattr(reading, "_pixels", lambda frame, size: converted.append(frame.pts) or pixels(frame, size))
    read_clip(tmp_path / "a.mp4", fps=2, duration=1)
    assert len(converted) == 2


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.mp4", "missing file"),
        ("text.mp4", "undecodable"),
        ("cut.mp4", "undecodable"),
        ("empty.mp4", "undecodable"),
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
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])
    start = content.index(b"mdat") + 2000
    content[start : start + 5000] = np.random.RandomState(1).bytes(5000)
    (tmp_path / "damaged.mp4").write_bytes(content)
    write_video(tmp_path / "short.mp4", noise[:10], fps=8)
    write_video(tmp_path / "slow.mp4", noise, fps=7)
    assert read_clip(tmp_path / "good.mp4", fps=8, duration=2).shape == (16, 64, 96, 3)
    with pytest.raises(MediaError, match=name) as caught:
        read_clip(tmp_path / name, fps=8, duration=2)
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "reason"), [("none.png", "missing file"), ("text.png", "undecodable")])
def test_an_image_that_is_none_says_so(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(MediaError, match=name) as caught:
        read_image(tmp_path / name)
    assert caught.value.reason == reason


def test_a_cut_image_is_undecodable(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", synthetic("noise", 0, 40, 30))
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:1500])
    with pytest.raises(MediaError, match="undecodable"):
        read_image(tmp_path / "cut.png")


def test_released_media_are_read(shared_data: Path) -> None:
    for path in sorted((shared_data / "media").glob("*.mp4")):
        assert read_clip(path, fps=12, duration=2, size=352).shape == (24, 256, 448, 3)
    assert read_image(shared_data / "media" / "red_bus.jpg").shape == (2120, 3710, 3)
