"""Frames, crops and files of `lumos.media` against the released system's numbers (tests/golden/data_utils.json)."""

import hashlib
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from lumos import media
from lumos.media import (
    MediaError,
    crop_sizes,
    crop_to_bucket,
    frame_indices,
    nearest_crop,
    read_clip,
    read_image,
    to_frames,
    to_tensor,
    write_image,
    write_video,
)


@pytest.fixture(scope="module")
def released(golden: Path) -> dict:
    return json.loads((golden / "data_utils.json").read_text())


def numbered(num_frames: int, height: int = 32, width: int = 48) -> np.ndarray:
    """Frames whose grey level is ten times their number."""
    return np.repeat(np.arange(num_frames, dtype=np.uint8) * 10, height * width * 3).reshape(-1, height, width, 3)


def numbers(frames: np.ndarray) -> list[int]:
    return np.rint(frames.mean(axis=(1, 2, 3)) / 10).astype(int).tolist()


def synthetic(kind: str, index: int, width: int, height: int) -> np.ndarray:
    if kind == "noise":
        return np.random.RandomState(9000 + index).randint(0, 256, (height, width, 3)).astype(np.uint8)
    y, x = np.mgrid[:height, :width]
    channels = x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x + y) * 255 // max(width + height - 2, 1)
    return np.stack(channels, axis=-1).astype(np.uint8)


# --- frames and crops -------------------------------------------------------------------------------------------------


def test_crop_sizes_are_the_released_lists(released: dict) -> None:
    for target, sizes in released["crop_lists"].items():
        assert crop_sizes(int(target)) == [tuple(size) for size in sizes]


def test_crop_sizes_of_a_target_below_one_patch_is_an_error() -> None:
    with pytest.raises(ValueError, match="target size 31 px"):
        crop_sizes(31)


@pytest.mark.parametrize("kind", ["noise", "gradient"])
def test_crops_of_images_are_the_released_pixels(released: dict, kind: str) -> None:
    for case in released["images"]:
        width, height = case["size_wh"]
        image = synthetic(kind, case["i"], width, height)
        assert hashlib.sha256(image.tobytes()).hexdigest() == case[f"{kind}_sha256_source"]
        for target in released["crop_lists"]:
            assert nearest_crop(width, height, int(target)) == tuple(case[f"crop_{target}"])
            crop = crop_to_bucket(image[None], int(target))[0]
            assert crop.shape[1::-1] == tuple(case[f"crop_{target}"])
            if hashlib.sha256(crop.tobytes()).hexdigest() != case[f"{kind}_sha256_{target}"]:  # another Pillow
                assert np.abs(crop[0, 0].astype(int) - case[f"{kind}_px00_{target}"]).max() <= 1
                np.testing.assert_allclose(crop.mean(axis=(0, 1)), case[f"{kind}_mean_{target}"], atol=0.1)


def test_a_tie_between_crops_goes_to_the_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "crop_sizes", lambda _: [(32, 64), (64, 32), (32, 96)])
    assert nearest_crop(200, 200, 96) == (64, 32)


def test_all_frames_of_a_clip_are_cut_alike() -> None:
    frames = np.stack([synthetic("noise", index, 90, 70) for index in range(3)])
    together = crop_to_bucket(frames, (64, 32))
    assert together.shape == (3, 32, 64, 3)
    for index in range(3):
        np.testing.assert_array_equal(together[index], crop_to_bucket(frames[index : index + 1], (64, 32))[0])


def test_frame_indices_are_the_released_ones(released: dict) -> None:
    for case in released["extract_frames"]:
        arguments = case["total_frames"], case["original_fps"]
        wanted = {"fps": case["target_fps"], "duration": case["duration"]}
        if case["indices"]:
            assert list(frame_indices(*arguments, **wanted)) == case["indices"]
        else:
            with pytest.raises(MediaError):
                frame_indices(*arguments, **wanted)


def test_pixels_survive_the_way_to_a_tensor_and_back() -> None:
    frames = np.arange(256, dtype=np.uint8).repeat(3).reshape(2, 8, 16, 3)
    video = to_tensor(frames)
    assert video.shape == (3, 2, 8, 16)
    assert (video.min(), video.max()) == (-1, 1)
    assert np.abs(to_frames(video).astype(int) - frames).max() <= 1  # truncation, as released


def test_to_frames_clamps_and_truncates() -> None:
    values = torch.tensor([-3.0, 3.0, 0.0, 0.999])
    assert to_frames(values.expand(3, 1, 1, 4))[0, 0, :, 0].tolist() == [0, 255, 127, 254]


# --- reading ----------------------------------------------------------------------------------------------------------


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
    pixels = media._pixels
    monkeypatch.setattr(media, "_pixels", lambda frame, size: converted.append(frame.pts) or pixels(frame, size))
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


# --- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
@pytest.mark.parametrize(("num_frames", "fps"), [(5, 1), (13, 7), (25, 12)])
def test_exactly_the_frames_written_come_back(tmp_path: Path, suffix: str, num_frames: int, fps: int) -> None:
    path = tmp_path / f"a{suffix}"
    write_video(path, numbered(num_frames), fps=fps)
    clip = read_clip(path, fps=fps, duration=Fraction(num_frames, fps))
    assert clip.shape == (num_frames, 32, 48, 3)
    assert numbers(clip) == list(range(num_frames))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_still_frames_are_not_merged_in_a_gif(tmp_path: Path) -> None:
    write_video(tmp_path / "a.gif", np.repeat(numbered(1), 5, axis=0), fps=5)
    with av.open(str(tmp_path / "a.gif")) as file:
        assert sum(1 for _ in file.decode(video=0)) == 5


def test_an_mp4_is_h264_in_yuv420p(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(4), fps=6)
    with av.open(str(tmp_path / "a.mp4")) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.frames, stream.average_rate) == (4, 6)


def test_odd_sides_are_repeated_at_the_edge(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(3, 31, 47), fps=3)
    clip = read_clip(tmp_path / "a.mp4", fps=3, duration=1)
    assert clip.shape == (3, 32, 48, 3)
    assert numbers(clip) == [0, 1, 2]


def test_images_come_back_unchanged(tmp_path: Path) -> None:
    image = synthetic("noise", 1, 9, 6)
    write_image(tmp_path / "folder" / "a.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "folder" / "a.png"), image)


@pytest.mark.parametrize("name", ["a.avi", "a"])
def test_another_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"\.mp4 or \.gif"):
        write_video(tmp_path / name, numbered(2), fps=2)
    with pytest.raises(ValueError, match=r"use \.png"):
        write_image(tmp_path / f"{name}x", numbered(1)[0])


def test_equal_frames_make_equal_files_on_any_machine(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, numbered(5), fps=4)
    content = (tmp_path / "a.mp4").read_bytes()
    assert content == (tmp_path / "b.mp4").read_bytes()
    assert b" threads=1 lookahead_threads=1 " in content  # x264 notes its settings in what it writes
    assert b" mbtree=0 " in content


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, numbered(2), fps=2)
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_video(path, numbered(3), fps=2)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_encoder_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media.av, "codecs_available", {"gif"})
    with pytest.raises(ValueError, match="no encoder libx264; reinstall PyAV"):
        write_video(tmp_path / "a.mp4", numbered(2), fps=2)


@contextmanager
def no_room() -> Iterator[None]:
    """A limit on the size of files stands for a full disk: the write itself fails."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.png"])
def test_a_disk_without_room_is_one_clear_error(tmp_path: Path, name: str) -> None:
    noise = np.random.RandomState(0).randint(0, 256, (9, 64, 96, 3)).astype(np.uint8)
    with (
        pytest.raises(ValueError, match=f"cannot write .*{name}: File too large; free some space") as caught,
        no_room(),
    ):
        write_image(tmp_path / name, noise[0]) if name == "a.png" else write_video(tmp_path / name, noise, fps=3)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
