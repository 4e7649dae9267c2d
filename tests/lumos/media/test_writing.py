"""Images and clips to files."""

import gc
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

from lumos.media import writing
from lumos.media.reading import read_clip, read_image
from lumos.media.writing import growing_video, video_writer, write_image, write_video
from tests.lumos.media.pictures import numbered, numbers, synthetic


def test_no_garbage_is_collected_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take 0.4 s in a process that holds a model."""
    collections: list[int] = []
    monkeypatch.setattr(gc, "collect", collections.append)
    for suffix in (".mp4", ".webm", ".gif"):
        write_video(tmp_path / f"a{suffix}", numbered(3), fps=5)
    assert collections == []


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
@pytest.mark.parametrize(("num_frames", "fps"), [(5, 1), (13, 7), (25, 12)])
def test_exactly_the_frames_written_come_back(tmp_path: Path, suffix: str, num_frames: int, fps: int) -> None:
    path = tmp_path / f"a{suffix}"
    write_video(path, numbered(num_frames), fps=fps)
    clip = read_clip(path, fps=fps, duration=Fraction(num_frames, fps))
    assert clip.shape == (num_frames, 32, 48, 3)
    assert numbers(clip) == list(range(num_frames))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("form", ["pictures", "arrays", "fractions", "tensor", "bytes"])
def test_frames_are_taken_in_any_form_they_are_held_in(tmp_path: Path, form: str) -> None:
    frames = numbered(3)
    forms = {
        "pictures": [Image.fromarray(frame) for frame in frames],
        "arrays": list(frames),
        "fractions": (frames / 255).astype(np.float32),
        "tensor": torch.from_numpy(frames / 255).permute(0, 3, 1, 2),
        "bytes": torch.from_numpy(frames),
    }
    write_video(tmp_path / "a.gif", frames, fps=3)
    write_video(tmp_path / "b.gif", forms[form], fps=3)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


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


def test_a_webm_is_vp9_and_the_same_frames_make_the_same_file(tmp_path: Path) -> None:
    for name in ("a.webm", "b.webm"):
        write_video(tmp_path / name, numbered(4), fps=6)
    assert (tmp_path / "a.webm").read_bytes() == (tmp_path / "b.webm").read_bytes()
    with av.open(str(tmp_path / "a.webm")) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("vp9", "yuv420p")
        assert stream.average_rate == 6


def test_a_jpg_is_near_to_what_was_written(tmp_path: Path) -> None:
    image = synthetic("noise", 1, 16, 24)
    write_image(tmp_path / "a.jpg", image)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - image).mean() < 5


def test_no_other_format_is_written_frame_by_frame(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"use a file name that ends in \.mp4"),
        video_writer(tmp_path / "a.webm", fps=2),
    ):
        pass


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_odd_sides_are_repeated_at_the_edge(tmp_path: Path, suffix: str) -> None:
    write_video(tmp_path / f"a{suffix}", numbered(3, 31, 47), fps=3)
    clip = read_clip(tmp_path / f"a{suffix}", fps=3, duration=1)
    assert clip.shape == (3, 32, 48, 3)
    assert numbers(clip) == [0, 1, 2]


def test_images_come_back_unchanged(tmp_path: Path) -> None:
    image = synthetic("noise", 1, 9, 6)
    write_image(tmp_path / "folder" / "a.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "folder" / "a.png"), image)


@pytest.mark.parametrize("name", ["a.avi", "a"])
def test_another_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"\.mp4, \.webm or \.gif"):
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


def test_frames_go_to_the_file_one_by_one(tmp_path: Path) -> None:
    frames = np.random.RandomState(0).randint(0, 256, (20, 64, 96, 3)).astype(np.uint8)
    sizes = []
    with video_writer(tmp_path / "a.mp4", fps=5) as add:
        for frame in frames:
            add(frame)
            sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))
        assert not (tmp_path / "a.mp4").exists()
    assert sizes[-1] > sizes[0]  # what is encoded does not wait in memory
    write_video(tmp_path / "b.mp4", frames, fps=5)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(video=0)]


def test_a_growing_mp4_can_be_played_on_its_way_and_ends_as_the_whole_one(tmp_path: Path) -> None:
    frames, path = numbered(20), tmp_path / "growing.mp4"
    playable = []
    with growing_video(path, fps=6) as add:
        for number, frame in enumerate(frames, 1):
            add(frame)
            if number >= 8:
                with av.open(str(path)) as file:
                    playable.append(sum(1 for _ in file.decode(video=0)))
    assert playable == list(range(3, 16))  # five behind
    write_video(tmp_path / "whole.mp4", frames, fps=6)
    assert packets(path) == packets(tmp_path / "whole.mp4")
    assert numbers(read_clip(path, fps=6, duration=Fraction(20, 6))) == list(range(20))


def test_a_file_that_grows_is_an_mp4(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"frame by frame: use a file name that ends in .mp4"),
        growing_video(tmp_path / "a.webm", fps=5) as add,
    ):
        add(numbered(1)[0])
    assert list(tmp_path.iterdir()) == []


def test_a_stream_of_no_frames_or_of_two_sizes_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are no frames"), video_writer(tmp_path / "a.mp4", fps=5):
        pass
    with video_writer(tmp_path / "b.mp4", fps=5) as add:
        add(numbered(1)[0])
        with pytest.raises(ValueError, match=r"a frame is \(32, 50, 3\), those before it \(32, 48, 3\)"):
            add(numbered(1, 32, 50)[0])
    assert [path.name for path in tmp_path.iterdir()] == ["b.mp4"]


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
    monkeypatch.setattr(writing.av, "codecs_available", {"gif"})
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
