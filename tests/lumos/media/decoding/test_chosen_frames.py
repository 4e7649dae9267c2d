"""Frames that a rule chooses are found by time and by number, and what stands in the way has a reason."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lumos.media.decoding.chosen_frames import read_chosen
from lumos.media.decoding.video import Video
from lumos.media.media_error import MediaError
from tests.lumos.media.clips import Form, numbers, write_clip


def every(step: int, *, most: int = 99):
    """Every so many frames."""
    return lambda num_frames, rate: list(range(0, num_frames, step))[:most]


def read(path: Path, rule, choice: str = "time", *, step_s: Fraction = Fraction(1, 4)) -> list[int]:
    chosen = read_chosen(path, rule, step_s=step_s, prepare=lambda pixels: pixels, frame_choice=choice)
    return numbers(chosen.frames)


@pytest.mark.parametrize("choice", ["time", "released"])
@pytest.mark.parametrize("rate", [Fraction(12), Fraction(24000, 1001)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_the_frames_of_a_rule_are_taken(tmp_path: Path, choice: str, rate: Fraction, suffix: str) -> None:
    codec = "mpeg4" if suffix == "avi" else "libx264"
    write_clip(tmp_path / f"a.{suffix}", 26, Form(fps=rate, codec=codec))
    asked: list[tuple[int, Fraction]] = []

    def rule(num_frames: int, found: Fraction) -> Sequence[int]:
        asked.append((num_frames, found))
        return [0, 3, 3, 7, 8, 25, 25]

    assert read(tmp_path / f"a.{suffix}", rule, choice) == [0, 3, 3, 7, 8, 25, 25]
    ((num_frames, found),) = asked
    assert num_frames == 26
    assert float(found) == pytest.approx(float(rate), rel=1e-3)


def test_a_video_says_how_long_it_is_and_frames_are_prepared(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", 30, Form(fps=Fraction(12)))
    chosen = read_chosen(
        tmp_path / "a.mp4", every(10), step_s=Fraction(1, 2), prepare=lambda pixels: pixels[:8, :24].mean(axis=(0, 1))
    )
    assert chosen.frames.shape == (3, 3)
    assert chosen.seconds == pytest.approx(2.5, abs=0.01)


def test_by_time_frames_that_come_unevenly_are_taken_where_they_are_shown(tmp_path: Path) -> None:
    stamps = [0, 90, 260, 480, 510, 760, 1010, 1240]
    write_clip(tmp_path / "a.mkv", len(stamps), stamps_ms=stamps)
    quarters = lambda num_frames, rate: [round(i * rate / 4) for i in range(5)]  # noqa: E731  # a rule in a line
    assert read(tmp_path / "a.mkv", quarters) == [0, 2, 4, 5, 6]


def test_a_gap_is_named(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mkv", 9, stamps_ms=[0, 250, 500, 750, 1000, 2000, 2250, 2500, 2750])
    quarters = lambda num_frames, rate: [round(i * rate / 4) for i in range(8)]  # noqa: E731  # a rule in a line
    with pytest.raises(MediaError) as error:
        read(tmp_path / "a.mkv", quarters)
    assert error.value.reason == "a gap between its frames"


@pytest.mark.parametrize("choice", ["time", "released"])
def test_what_is_no_video_and_what_is_damaged_has_a_reason(tmp_path: Path, choice: str) -> None:
    write_clip(tmp_path / "a.mp4", 24)
    content = bytearray((tmp_path / "a.mp4").read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    (tmp_path / "damaged.mp4").write_bytes(content)
    (tmp_path / "text.mp4").write_text("no video")
    for name, reason in (("none", "missing file"), ("text", "undecodable"), ("damaged", "undecodable")):
        with pytest.raises(MediaError) as error:
            read(tmp_path / f"{name}.mp4", every(1), choice)
        assert error.value.reason == reason
        assert name in str(error.value)


@pytest.mark.parametrize("choice", ["time", "released"])
def test_a_rule_that_chooses_nothing_is_too_short(tmp_path: Path, choice: str) -> None:
    write_clip(tmp_path / "a.mp4", 5)
    with pytest.raises(MediaError, match="too short"):
        read(tmp_path / "a.mp4", lambda num_frames, rate: [], choice)


def test_what_preparing_says_is_the_reason(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", 5)

    def refuse(pixels: np.ndarray) -> np.ndarray:
        raise MediaError("source", "too plain")

    with pytest.raises(MediaError, match=r"a\.mp4: too plain"):
        read_chosen(tmp_path / "a.mp4", every(1), step_s=Fraction(1), prepare=refuse)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_frames_far_from_the_start_are_sought(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = "mpeg4" if suffix == "avi" else "libx264"
    path = write_clip(tmp_path / f"a.{suffix}", 200, Form(fps=Fraction(12), codec=codec, gop=12))
    begun: list[int] = []
    since = Video.since
    monkeypatch.setattr(Video, "since", lambda video, stamp: begun.append(stamp) or since(video, stamp))
    assert read(path, lambda num_frames, rate: [150, 153, 156]) == [150, 153, 156]
    assert begun[0] > 0
