"""Frames by number with decord: those that PyAV gives, and files that are not its own are left to PyAV."""

import importlib.util
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lumos.media import reading
from lumos.media.decoding import decord_frames
from lumos.media.decoding.decord_frames import choose_reader, frames_by_number
from lumos.media.decoding.video import Video
from lumos.media.reading import read_clip
from lumos.media.writing import write_video
from tests.lumos.media.pictures import numbered, numbers

installed = pytest.mark.skipif(importlib.util.find_spec("decord") is None, reason="decord is not installed")


@installed
@pytest.mark.parametrize("name", ["clip_281022623.mp4", "duckling.mp4", "hawk.mp4"])
def test_frames_are_those_of_pyav(shared_data: Path, name: str) -> None:
    path = shared_data / "media" / name
    for fps, duration, size in ((12, 2, None), (5, Fraction(8, 5), 128)):
        ours, theirs = (
            read_clip(path, fps=fps, duration=duration, size=size, frame_choice="released", reader=reader)
            for reader in ("pyav", "decord")
        )
        np.testing.assert_array_equal(ours, theirs)


def test_every_video_of_the_shared_media_is_compared(shared_data: Path) -> None:
    assert len(list((shared_data / "media").glob("*.mp4"))) == 3


@installed
def test_a_middle_is_sought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.mp4", numbered(24, 64, 128), fps=4)
    monkeypatch.setattr(reading, "_pixels", None)  # PyAV decodes none
    clip = read_clip(tmp_path / "a.mp4", fps=4, duration=2, frame_choice="released", reader="decord")
    assert numbers(clip) == list(range(8, 16))


@installed
def test_a_width_that_decord_cannot_copy_is_left_to_pyav(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(24, 32, 48), fps=4)
    clip = read_clip(tmp_path / "a.mp4", fps=4, duration=2, frame_choice="released", reader="decord")
    assert numbers(clip) == list(range(8, 16))


@installed
def test_what_is_not_plain_is_left_to_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.gif", numbered(8), fps=4)
    with Video(tmp_path / "a.gif") as video:
        assert frames_by_number(video, tmp_path / "a.gif", [0]) is None
    clip = read_clip(tmp_path / "a.gif", fps=4, duration=2, frame_choice="released", reader="decord")
    assert numbers(clip) == list(range(8))
    write_video(tmp_path / "a.mp4", numbered(8), fps=4)
    monkeypatch.setattr(Video, "stated_number", lambda self: 9)
    with Video(tmp_path / "a.mp4") as video:
        assert frames_by_number(video, tmp_path / "a.mp4", [0]) is None


@pytest.mark.parametrize("there", [True, False])
def test_auto_is_decord_where_it_is_installed_and_frames_have_numbers(
    there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decord_frames.importlib.util, "find_spec", lambda name: object() if there else None)
    assert choose_reader("auto", "released") == ("decord" if there else "pyav")
    assert choose_reader("auto", "time") == choose_reader("pyav", "released") == "pyav"
    with pytest.raises(ValueError, match="finds frames by number" if there else "pip install decord2"):
        choose_reader("decord", "time")


def test_a_reader_that_is_not_asked_for_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.mp4", numbered(8), fps=4)
    monkeypatch.setattr(reading, "frames_by_number", None)
    assert len(read_clip(tmp_path / "a.mp4", fps=4, duration=2, frame_choice="released", reader="pyav")) == 8
    assert len(read_clip(tmp_path / "a.mp4", fps=4, duration=2)) == 8
