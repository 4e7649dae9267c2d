"""What a clip begins with: pictures and clips in every form, and files that are none."""

import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lumos.media import reading
from lumos.media.first_frames import first_frames_of
from lumos.media.media_error import MediaError
from lumos.media.reading import read_clip, read_frames
from lumos.media.writing import write_video

FRAMES = np.random.RandomState(0).randint(0, 256, (5, 32, 64, 3), dtype=np.uint8)


def test_a_picture_is_no_clip_and_frames_are_one() -> None:
    picture = first_frames_of(Image.fromarray(FRAMES[0]))
    assert (picture.is_clip, picture.num_frames, picture.width, picture.height) == (False, 1, 64, 32)
    for clip in (FRAMES, list(FRAMES), torch.from_numpy(FRAMES).permute(0, 3, 1, 2)):
        found = first_frames_of(clip)
        assert (found.is_clip, found.rate) == (True, None)
        assert np.array_equal(found.pixels, FRAMES)


def test_a_video_file_says_its_rate_and_gives_all_frames(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", FRAMES, fps=6)
    found = first_frames_of(tmp_path / "a.mp4")
    assert (found.is_clip, found.rate, found.num_frames) == (True, Fraction(6), 5)
    assert found.pixels.shape == FRAMES.shape
    assert first_frames_of(found) is found


def test_a_video_that_is_missing_broken_or_too_long_is_said(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"missing file"):
        first_frames_of(tmp_path / "none.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(MediaError, match=r"broken.mp4: undecodable"):
        first_frames_of(str(tmp_path / "broken.mp4"))
    write_video(tmp_path / "a.mp4", FRAMES, fps=6)
    with pytest.raises(MediaError, match=r"too long .more than 4 frames"):
        read_frames(tmp_path / "a.mp4", most=4)


def test_a_clip_whose_frames_do_not_fit_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.mp4", np.zeros((5, 64, 96, 3), np.uint8), fps=8)
    monkeypatch.setattr(reading, "MOST_CLIP_BYTES", 3 * 64 * 96 * 3)
    with pytest.raises(MediaError, match=r"too long .at 96x64 at most 3 frames are read; cut it shorter"):
        read_frames(tmp_path / "a.mp4", most=100)


READERS = [partial(read_frames, most=100), partial(read_clip, fps=8, duration=8)]


@pytest.mark.parametrize("read", READERS)
def test_frames_take_their_own_memory_and_not_twice_that(tmp_path: Path, read: Callable[[Path], np.ndarray]) -> None:
    write_video(tmp_path / "a.mp4", np.zeros((64, 128, 160, 3), np.uint8), fps=8)
    tracemalloc.start()
    try:
        frames, (_, peak_bytes) = read(tmp_path / "a.mp4"), tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert frames.shape == (64, 128, 160, 3)
    assert peak_bytes < 1.3 * frames.nbytes
