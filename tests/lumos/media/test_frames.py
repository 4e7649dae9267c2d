"""Frame indices and times, and pixels to tensors and back."""

from fractions import Fraction
from itertools import count, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumos.media.frames import frame_indices, frame_times, nearest_in_time, to_frames, to_tensor
from lumos.media.media_error import MediaError

NONE = Fraction(0)


def test_frame_indices_are_the_released_ones(released: dict) -> None:
    for case in released["extract_frames"]:
        arguments = case["total_frames"], case["original_fps"]
        wanted = {"fps": case["target_fps"], "duration": case["duration"]}
        if case["indices"]:
            assert list(frame_indices(*arguments, **wanted)) == case["indices"]
        else:
            with pytest.raises(MediaError):
                frame_indices(*arguments, **wanted)


def test_times_are_those_of_the_released_frames_where_the_ratio_of_the_rates_is_whole(released: dict) -> None:
    seen = 0
    for case in released["extract_frames"]:
        rate = Fraction(case["original_fps"])
        if (rate / case["target_fps"]).denominator == 1 and case["indices"]:
            length = case["total_frames"] / rate
            wanted = {"fps": case["target_fps"], "duration": case["duration"]}
            times = frame_times(length, rate, **wanted, blur=NONE)
            assert [time * rate for time in times] == case["indices"]
            seen += 1
    assert seen == 5


@given(st.integers(1, 700), st.integers(1, 5), st.sampled_from([1, 4, 7, 12, Fraction(24000, 1001)]), st.integers(1, 9))
def test_evenly_spaced_frames_are_chosen_by_time_as_by_number(total: int, step: int, fps: int, duration: int) -> None:
    rate = Fraction(fps) * step
    try:
        indices = list(frame_indices(total, rate, fps=fps, duration=duration))
    except MediaError:
        with pytest.raises(MediaError, match="too short"):
            frame_times(total / rate, rate, fps=fps, duration=duration, blur=NONE)
        return
    times = frame_times(total / rate, rate, fps=fps, duration=duration, blur=NONE)
    assert [time * rate for time in times] == indices


@given(
    st.integers(20, 400), st.sampled_from([Fraction(30000, 1001), Fraction(25), Fraction(24000, 1001), Fraction(17, 2)])
)
def test_times_lie_in_the_middle_and_within_the_clip(total: int, rate: Fraction) -> None:
    length = total / rate
    times = frame_times(length, rate, fps=8, duration=2, blur=NONE) if length >= 2 else []
    steps = [after - before for before, after in pairwise(times)]
    assert steps == [Fraction(1, 8)] * (15 if times else 0)
    for first in times[:1]:
        assert first % Fraction(1, 8) == 0
        assert times[-1] <= length - 1 / rate
        assert abs(first - (length - 2) / 2) <= Fraction(1, 8) + 1 / rate


def test_a_length_is_too_short_only_beyond_what_its_stamps_are_rounded_by() -> None:
    length = Fraction(6999, 1000)
    assert len(frame_times(length, 12, fps=12, duration=7, blur=Fraction(1, 500))) == 84
    with pytest.raises(MediaError, match=r"too short \(7.00 s, asked for 7 s\)"):
        frame_times(length, 12, fps=12, duration=7, blur=NONE)


def test_the_nearest_is_chosen_and_the_earlier_of_two() -> None:
    shown = [(Fraction(time), time) for time in (0, 3, 4, 8, 9)]
    times = [Fraction(time) for time in (0, 2, 3, 6, 7, 20)]
    assert [what for _, what in nearest_in_time(shown, times)] == [0, 3, 3, 4, 8, 9]
    assert list(nearest_in_time([], times)) == []


def test_no_more_is_drawn_than_the_frame_after_the_last_time() -> None:
    drawn = []
    shown = ((Fraction(time), drawn.append(time)) for time in count())
    assert [time for time, _ in nearest_in_time(shown, [Fraction(2), Fraction(5)])] == [2, 5]
    assert drawn == [0, 1, 2, 3, 4, 5, 6]


def test_pixels_survive_the_way_to_a_tensor_and_back() -> None:
    frames = np.arange(256, dtype=np.uint8).repeat(3).reshape(2, 8, 16, 3)
    video = to_tensor(frames)
    assert video.shape == (3, 2, 8, 16)
    assert (video.min(), video.max()) == (-1, 1)
    assert np.abs(to_frames(video).astype(int) - frames).max() <= 1  # truncation, as released


def test_to_frames_clamps_and_truncates() -> None:
    values = torch.tensor([-3.0, 3.0, 0.0, 0.999])
    assert to_frames(values.expand(3, 1, 1, 4))[0, 0, :, 0].tolist() == [0, 255, 127, 254]
