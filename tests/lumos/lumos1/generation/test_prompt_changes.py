"""Frames of changes to latent frames, as the module draws them."""

import re
from typing import Any

import pytest

from lumos.conventions.script import Script
from lumos.lumos1.generation.prompt_changes import latent_changes
from lumos.lumos1.sampling.settings import Settings


def found(*frames: int, num_frames: int = 25, **settings: Any) -> dict[int, str]:
    script = Script(text="a", changes=tuple((frame, f"text {frame}") for frame in frames))
    clip = Settings(width=64, height=32, num_frames=num_frames, fps=6, duration=2, **settings)
    return latent_changes(script, clip)


@pytest.mark.parametrize(("frame", "latent"), [(1, 1), (2, 2), (5, 2), (6, 3), (8, 3), (9, 3), (10, 4), (21, 6)])
def test_a_text_begins_with_the_latent_frame_at_its_frame_or_after(frame: int, latent: int) -> None:
    assert found(frame) == {latent: f"text {frame}"}


def test_frames_of_a_clip_that_goes_on_count_those_that_are_given() -> None:
    assert found(3, 15, given_frames=14) == {4: "text 3", 5: "text 15"}  # 14 and then fours: 18


def test_a_change_beyond_the_end_says_where_the_last_may_be() -> None:
    with pytest.raises(ValueError, match=r"changes at frame 22, and of the 25 frames the last that are made .* at 21;"):
        found(22)


def test_two_texts_of_one_latent_frame_are_refused() -> None:
    with pytest.raises(ValueError, match=r"changes at frame 4: 4 frames are made at once, .* at 5; leave one"):
        found(2, 4)


def test_a_picture_has_one_prompt_and_says_how_to_have_more() -> None:
    with pytest.raises(
        ValueError, match=r"changes at frame 8, and one frame is made, .* ask for a clip \(num_frames=16"
    ):
        found(8, num_frames=1)


@pytest.mark.parametrize("frame", range(1, 10))
def test_the_length_that_is_advised_is_one(frame: int) -> None:
    with pytest.raises(ValueError, match="and one frame is made") as refused:
        found(frame, num_frames=1)
    (advised,) = re.findall(r"num_frames=(\d+)", str(refused.value))
    assert found(frame, num_frames=int(advised))
