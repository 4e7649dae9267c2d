"""Length, rate and size of a video, from one frame of it."""

from fractions import Fraction
from pathlib import Path

import pytest

from lumos.media.decoding.video_facts import VideoFacts, video_facts
from lumos.media.media_error import MediaError
from tests.lumos.media.clips import Form, write_clip


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_facts_are_those_of_what_is_shown(tmp_path: Path, suffix: str) -> None:
    facts = video_facts(write_clip(tmp_path / f"a{suffix}", 30, Form(fps=Fraction(12))))
    assert facts == VideoFacts(seconds=facts.seconds, fps=12.0, width=96, height=64)
    assert abs(facts.seconds - 2.5) <= 0.01


def test_the_aspect_of_samples_counts(tmp_path: Path) -> None:
    def prepare(stream: object) -> None:
        stream.sample_aspect_ratio = Fraction(3, 2)  # type: ignore[attr-defined]

    facts = video_facts(write_clip(tmp_path / "a.mp4", 9, prepare=prepare))
    assert (facts.width, facts.height) == (144, 64)


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="missing file"):
        video_facts(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(MediaError, match="undecodable"):
        video_facts(tmp_path / "text.mp4")
