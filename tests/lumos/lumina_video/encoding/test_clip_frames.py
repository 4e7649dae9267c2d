"""Which frames are encoded and which are compared, against numbers of the released tools (tests/golden/lumina)."""

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from lumos.lumina_video.encoding.clip_frames import clip_frames, motion_frames
from lumos.media.media_error import MediaError


@pytest.fixture(scope="module")
def stored(golden_lumina: Path) -> dict[str, Any]:
    return json.loads((golden_lumina / "data.json").read_text())


def spelt(video: str) -> tuple[Fraction, int, int, int]:
    """Rate, frames, width and height of "fake:FPS:FRAMES:WxH"."""
    _, rate, frames, size = video.split(":")
    return Fraction(rate), int(frames), *map(int, size.split("x"))


def chosen(video: str, *, fps: int = 8, most_s: int = 60) -> list[int]:
    rate, frames, _, _ = spelt(video)
    return clip_frames(frames, rate, fps=fps, frames_per_latent=4, most_s=most_s)


def test_frames_are_those_of_the_golden_cache_up_to_whole_latents(stored: dict[str, Any]) -> None:
    """The release took 4m + 1 frames, of which the first made a latent of its own; ours are 4m."""
    cache = stored["cache"]
    read = {request["path"]: request["ids"] for request in cache["requests"]}
    assert len(read) == 7
    for path, ids in read.items():
        ours = chosen(path, fps=cache["target_fps"])
        assert len(ours) % 4 == 0
        assert len(ids) - 1 <= len(ours) <= len(ids) + 3
        both = min(len(ids), len(ours))
        assert ours[:both] == ids[:both]


def test_clips_are_too_slow_or_too_short_as_in_the_golden_cache(stored: dict[str, Any]) -> None:
    read = {request["path"] for request in stored["cache"]["requests"]}
    for path in stored["cache"]["clips"]:
        if path in read:
            assert chosen(path)
        else:
            reason = "slower" if path.startswith("fake:3.9") else "too short"
            with pytest.raises(MediaError, match=reason):
                chosen(path)


@pytest.mark.parametrize(("frames", "kept"), [(12, 12), (13, 12), (15, 12), (16, 16), (33, 32)])
def test_a_clip_is_cut_to_whole_latents(frames: int, kept: int) -> None:
    assert clip_frames(frames, 8, fps=8, frames_per_latent=4, most_s=60) == list(range(kept))


def test_halves_go_to_the_even_frame_and_slow_sources_repeat() -> None:
    assert clip_frames(15, 12, fps=8, frames_per_latent=4, most_s=60) == [0, 2, 3, 4, 6, 8, 9, 10]
    assert clip_frames(6, 4, fps=8, frames_per_latent=4, most_s=60) == [0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 5, 5]


def released(num: int, source: float, fps: int) -> list[int]:
    """4m frames by the rule of the release, in its floats and its order of products."""
    found = math.floor(num / source * fps + 0.2) // 4 * 4
    return [min(round(i / fps * source), num - 1) for i in range(found)]


@pytest.mark.parametrize("fps", [8, 12, 16, 24])
@pytest.mark.parametrize("source", [24, 25, 30, 50, 60, 12.5, Fraction(24000, 1001), Fraction(30000, 1001)])
def test_frames_are_reckoned_in_floats_as_in_the_release(source: Fraction | float, fps: int) -> None:
    for num in range(100, 500):
        ours = clip_frames(num, source, fps=fps, frames_per_latent=4, most_s=60)
        assert ours == released(num, float(source), fps)


def test_where_floats_are_no_fractions_the_floats_count() -> None:
    halves = clip_frames(600, 30, fps=12, frames_per_latent=4, most_s=60)
    assert (halves[97], halves[197]) == (243, 493)  # 242.5 and 492.5 by fractions
    assert len(clip_frames(99, 60, fps=12, frames_per_latent=4, most_s=60)) == 16  # 19.8 + 0.2 is just less than 20


def test_a_long_clip_is_refused_with_what_to_do() -> None:
    said = r"too long \(12\.00 s, at most 11 s; .*: cut it into scenes, or raise --most_seconds\)"
    with pytest.raises(MediaError, match=said):
        chosen("fake:25:300:256x256", most_s=11)


def test_frames_for_motion_are_the_golden_ones(stored: dict[str, Any]) -> None:
    for entry in stored["motion"]["frames"]:
        rate, frames, _, _ = spelt(entry["video"])
        if entry["ids"] is None:
            with pytest.raises(MediaError, match="too short"):
                motion_frames(frames, rate)
        else:
            assert motion_frames(frames, rate) == entry["ids"]
