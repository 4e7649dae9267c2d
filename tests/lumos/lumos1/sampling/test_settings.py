"""Settings of clips longer than the model's own, and of clips that go on from one: lengths, windows, refusals."""

from typing import Any

import numpy as np
import pytest

from lumos.lumos1.sampling.settings import Settings, resolve_settings, settings_for
from lumos.tokenizer.vocab import Vocab

MODEL = {"width": 64, "height": 32, "sizes": [[64, 32], [32, 32]], "fps": 6, "duration": 2, "history_frames": 2}
"""12 frames, 4 latent ones."""


def clip(num_frames: int, width: int = 64) -> np.ndarray:
    return np.zeros((num_frames, 32, width, 3), dtype=np.uint8)


def going_on(num_given: int, **given: Any) -> Settings:
    return settings_for(MODEL, given, image=clip(num_given))


def test_a_clip_longer_than_the_models_own_is_made_in_windows_that_name_its_own_length() -> None:
    settings = resolve_settings(MODEL, {"num_frames": 48})
    assert (settings.num_latent_frames, settings.num_output_frames) == (13, 48)
    assert (settings.prompt_frames, settings.duration, settings.fps) == (12, 2, 6)
    assert (settings.window_frames, settings.sampler.history_frames, settings.num_in_positions) == (4, 2, 4)
    assert resolve_settings(MODEL, settings.to_dict()) == settings
    assert resolve_settings(MODEL, {"duration": 8}) == settings == resolve_settings(MODEL, {"seconds": 8})


def test_a_clip_of_the_models_own_length_has_no_window() -> None:
    without = {name: value for name, value in MODEL.items() if name != "history_frames"}
    for asked in ({}, {"num_frames": 13}, {"num_frames": 1}):
        assert resolve_settings(MODEL, asked) == resolve_settings(without, asked)


def test_released_models_see_all_frames_and_so_does_whoever_asks_for_all() -> None:
    released = resolve_settings({}, {"num_frames": 90})
    assert (released.window_frames, released.prompt_frames, released.num_in_positions) == (None, 90, 24)
    settings = resolve_settings(MODEL, {"num_frames": 48, "history_frames": "all"})
    assert (settings.window_frames, settings.prompt_frames, settings.duration) == (None, 48, 8)
    assert resolve_settings(MODEL, settings.to_dict()) == settings


def test_another_rate_has_the_seconds_of_the_same_frames() -> None:
    assert resolve_settings(MODEL, {"num_frames": 48, "fps": 12}).duration == 1


def test_positions_of_the_clip_need_room_for_all_of_it() -> None:
    settings = resolve_settings(MODEL, {"num_frames": 48, "history_positions": "clip"})
    assert (settings.num_in_sight, settings.num_in_positions) == (4, 13)


@pytest.mark.parametrize(
    ("num_given", "asked", "num_coded", "num_latent"),
    [(1, 12, 1, 4), (13, 17, 4, 5), (14, 24, 4, 7), (16, 17, 4, 5), (5, 12, 2, 4), (100, 103, 4, 5)],
)
def test_a_clip_goes_on_behind_whole_latent_frames_counted_from_its_end(
    num_given: int, asked: int, num_coded: int, num_latent: int
) -> None:
    settings = going_on(num_given, num_frames=asked)
    assert (settings.given_frames, settings.num_given, settings.num_latent_frames) == (num_given, num_coded, num_latent)


def test_without_a_window_all_of_a_clip_is_coded() -> None:
    assert going_on(100, num_frames=101, history_frames="all").num_given == 25


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"history_frames": 0}, "history_frames is 0; it must be a whole number of at least 1"),
        ({"history_frames": 4}, "history_frames is 4.*have 4 latent frames.*give 3 at most"),
        ({"history_positions": "here"}, "history_positions is 'here'; it must be one of window, clip"),
        ({"seconds": 0}, "seconds is 0; it must be a number above 0"),
        ({"seconds": 3, "num_frames": 9}, "seconds says how long the clip is, and so does num_frames"),
    ],
)
def test_a_window_or_a_length_that_cannot_be_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        resolve_settings(MODEL, given)


def test_a_clip_of_another_size_or_long_enough_is_refused() -> None:
    with pytest.raises(ValueError, match="the clip is 96x32, and 64x32 is made; cut it first: ffmpeg"):
        settings_for(MODEL, {"num_frames": 24}, image=clip(5, width=96))
    with pytest.raises(ValueError, match=r"num_frames is 12, and the clip has 13 frames, 2.17 s at 6 a second"):
        going_on(13, num_frames=12)
    with pytest.raises(ValueError, match=r"seconds is 2, and the clip has 13 frames.*ask for more"):
        going_on(13, seconds=2)
    with pytest.raises(
        ValueError, match=r"^the clip has 13 frames.* 12 frames in all are made unless .*: --seconds 6$"
    ):
        going_on(13, num_frames=None)


def test_what_is_wrong_with_the_size_of_a_target_size_names_the_target_size() -> None:
    vocab = Vocab()
    largest = (vocab.num_numbers - 1) * 32
    settings = resolve_settings({}, {"target_size": 8192})
    said = rf"^target_size is 8192, whose width is {settings.width}, more than .* a token for; .* at most {largest}$"
    with pytest.raises(ValueError, match=said):
        settings.check(vocab)
    with pytest.raises(ValueError, match=r"^width is 8192, more than this model has a token for"):
        resolve_settings({}, {"width": 8192, "height": 32}).check(vocab)
    with pytest.raises(ValueError, match=r"^target_size is 65536, whose width "):
        resolve_settings({}, {"target_size": 65536})
    assert resolve_settings({}, {"target_size": 352}) == resolve_settings({}, {"width": 448, "height": 256})
