"""The two spellings of a scale."""

import pytest

from lumos.lumina_video.scale import Scale


@pytest.mark.parametrize("text", ["2x4", "4-2", " 2x4 "])
def test_both_spellings_name_the_same_scale(text: str) -> None:
    assert Scale.parse(text) == Scale(frames=2, pixels=4)


def test_each_place_has_its_spelling() -> None:
    scale = Scale(frames=2, pixels=4)
    assert str(scale) == "2x4"
    assert scale.parameter_name == "4-2"
    assert Scale.parse(str(scale)) == Scale.parse(scale.parameter_name) == scale


@pytest.mark.parametrize("text", ["", "2", "x4", "2*4", "2x4x4", "0x4", "4-0", "2X4"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write frames x pixels, for example 2x4"):
        Scale.parse(text)


def test_a_scale_has_at_least_one_frame_and_pixel() -> None:
    with pytest.raises(ValueError, match="scale: frames is 0"):
        Scale(frames=0, pixels=4)
    with pytest.raises(ValueError, match="scale: pixels is -1"):
        Scale(frames=1, pixels=-1)


def test_a_token_holds_its_patch_in_all_channels() -> None:
    assert Scale(frames=2, pixels=4).token_width(3) == 2 * 4 * 4 * 3
