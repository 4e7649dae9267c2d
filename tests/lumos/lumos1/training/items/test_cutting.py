"""Clips cut in time and in tokens: whole frames, and a header that says how long they are."""

import dataclasses

from lumos.lumos1.sequence import sequence_length
from lumos.lumos1.training.items.cutting import cut_clip, cut_to_frames, frames_within
from tests.tiny_data import make_clip


def test_cut_drops_frames_and_sets_the_duration() -> None:
    whole = dataclasses.replace(make_clip(0, 22), fps=12, duration=7)
    cut = cut_clip(whole, 2)
    assert (len(cut.codes), cut.duration, cut.fps) == (7, 2, 12)
    assert (cut.codes == whole.codes[:7]).all()
    assert cut_clip(cut, 2) is cut
    assert cut_clip(whole, None) is whole


def test_a_cut_clip_says_how_long_it_is() -> None:
    whole = dataclasses.replace(make_clip(0, 7), fps=8, duration=3)  # 3, 5 and 7 latent frames in 1, 2 and 3 seconds
    cuts = [cut_to_frames(whole, most) for most in (6, 5, 4, 3, 2)]
    assert [(len(cut.codes), cut.duration) for cut in cuts] == [(5, 2), (5, 2), (3, 1), (3, 1), (2, 1)]


def test_whole_frames_fit() -> None:
    for length in (55, 56, 99, 100, 143, 144, 1000):
        frames = frames_within(6, (4, 8, 4), length)
        assert sequence_length(6, (max(frames, 1), 8, 4)) <= length or frames == 0
        assert frames == 4 or sequence_length(6, (frames + 1, 8, 4)) > length
