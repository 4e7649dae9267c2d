"""Windows of videos that are encoded on the way, against numbers of the release (tests/golden/lumina)."""

import json
from pathlib import Path
from typing import Any

import pytest

from lumos.lumina_video.encoding.clip_window import ClipWindow
from lumos.media.media_error import MediaError

WINDOW = ClipWindow(fps=8, most_frames=32, frames_per_latent=4)


@pytest.fixture(scope="module")
def stored(golden_lumina: Path) -> dict[str, Any]:
    return json.loads((golden_lumina / "data.json").read_text())


def test_frames_are_the_golden_ones(stored: dict[str, Any]) -> None:
    assert len(stored["raw_frames"]) == 3
    for case in stored["raw_frames"]:
        _, rate, num, _ = case["video"].split(":")
        window = ClipWindow(fps=case["target_fps"], most_frames=case["max_frames"], frames_per_latent=4)
        length = window.num_frames(int(num) / float(rate), float(rate))
        found = window.frames(length, num_frames=int(num), source_fps=float(rate), draw=case["uniform_draw"])
        assert found == case["ids"]


def test_lengths_are_the_golden_ones(stored: dict[str, Any]) -> None:
    assert len(stored["lengths"]) == 6
    for case in stored["lengths"]:
        assert WINDOW.num_listed(float(case["seconds"])) == case["length"]


@pytest.mark.parametrize(("seconds", "frames"), [(1.0, 8), (1.99, 8), (2.0, 16), (3.99, 24), (4.0, 32), (90.0, 32)])
def test_a_shorter_clip_is_cut_to_pairs_of_latents(seconds: float, frames: int) -> None:
    assert WINDOW.num_frames(seconds, 24.0) == frames


def test_a_window_is_whole_latents() -> None:
    assert ClipWindow(fps=8, most_frames=22, frames_per_latent=4).num_frames(9.0, 8.0) == 20
    assert ClipWindow(fps=8, most_frames=22, frames_per_latent=8).num_frames(2.5, 8.0) == 16


def test_it_ends_with_the_last_frame_at_the_latest() -> None:
    first, last = (WINDOW.frames(32, num_frames=100, source_fps=16.0, draw=draw) for draw in (0.0, 1.0))
    assert (first[0], first[-1]) == (0, 62)
    assert (last[0], last[-1]) == (36, 98)
    assert WINDOW.frames(8, num_frames=9, source_fps=8.0, draw=0.9)[-1] == 7
    assert WINDOW.frames(8, num_frames=5, source_fps=4.0, draw=0.0) == [0, 0, 1, 2, 2, 2, 3, 4]


def test_what_gives_no_window_says_why() -> None:
    with pytest.raises(MediaError, match=r"too short \(0\.90 s, at least 8 frames at 8 fps\)"):
        WINDOW.num_frames(0.9, 24.0)
    with pytest.raises(MediaError, match=r"slower than the target fps \(3\.9 fps, asked for 8\)"):
        WINDOW.num_frames(9.0, 3.9)
