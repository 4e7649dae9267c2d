"""Which frames a frame sees: the drawings of the module, and windows that cannot move."""

import pytest

from lumos.lumos1.sampling.frames.sight import Window, sights


def test_a_window_of_four_that_keeps_two_moves_as_drawn() -> None:
    window = Window(num_frames=4, num_kept=2)
    assert [window.first(frame) for frame in range(9)] == [0, 0, 0, 0, 2, 2, 4, 4, 6]


def test_a_window_that_keeps_all_but_one_moves_with_every_frame() -> None:
    window = Window(num_frames=4, num_kept=3)
    assert [window.first(frame) for frame in range(8)] == [0, 0, 0, 0, 1, 2, 3, 4]


def test_without_a_window_each_frame_is_written_once() -> None:
    seen = list(sights(range(4), window=None))
    assert [list(sight.written) for sight in seen] == [[], [0], [1], [2]]
    assert {sight.first for sight in seen} == {0}


def test_frames_in_sight_are_written_anew_where_the_window_moves_or_the_text_changes() -> None:
    seen = list(sights(range(8), window=Window(num_frames=4, num_kept=2), changes=[3, 6]))
    assert [list(sight.written) for sight in seen] == [[], [0], [1], [0, 1, 2], [2, 3], [4], [4, 5], [6]]
    assert [sight.since for sight in seen] == [0, 0, 0, 3, 3, 3, 6, 6]


def test_a_clip_that_goes_on_writes_what_is_given_first() -> None:
    seen = list(sights(range(5, 7), window=Window(num_frames=3, num_kept=1)))
    assert [(sight.first, list(sight.written)) for sight in seen] == [(4, [4]), (4, [5])]


def test_a_window_that_keeps_all_of_its_frames_is_refused() -> None:
    with pytest.raises(ValueError, match=r"history_frames is 4, and a window is 4 latent frames.*give 3 at most"):
        Window(num_frames=4, num_kept=4)
