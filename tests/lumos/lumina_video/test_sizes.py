"""Sizes: what passes, and that an error names the nearest sizes that would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumos.lumina_video.network.patches import grid_of
from lumos.lumina_video.preset import FlowPreset
from lumos.lumina_video.sizes import Compression, check_sizes, latent_shape

SINGLE, MULTI = FlowPreset.named("f24F96R960"), FlowPreset.named("f24F96R960-MultiScale")


def test_released_sizes() -> None:
    assert check_sizes(1248, 704, frames=96, preset=MULTI) == (24, 88, 156)
    assert check_sizes(1280, 720, frames=96, preset=SINGLE) == (24, 90, 160)
    assert check_sizes(672, 384, frames=64, preset=MULTI) == latent_shape(672, 384, 64) == (16, 48, 84)


def test_an_odd_number_of_latent_frames_needs_single_frame_patches() -> None:
    assert check_sizes(48, 32, frames=100, preset=SINGLE) == (25, 4, 6)
    with pytest.raises(ValueError, match=r"frames is 100; it must be a multiple of 8 .*2x4.*take 96 or 104"):
        check_sizes(64, 32, frames=100, preset=MULTI)


@pytest.mark.parametrize(
    ("width", "height", "frames", "message"),
    [
        (1280, 720, 96, "height is 720; it must be a multiple of 32 .*2x4, 2x2, 1x2.*take 704 or 736"),
        (1000, 704, 96, "width is 1000; .* take 992 or 1024"),
        (8, 704, 96, "width is 8; .* take 32"),
        (0, 704, 96, "width is 0; .* take 32"),
        (1248, -64, 96, "height is -64; .* take 32"),
        (1248, 704, 97, "frames is 97; .* take 96 or 104"),
        (1248, 704, 3, "frames is 3; .* take 8"),
    ],
)
def test_both_nearest_sizes_are_named(width: int, height: int, frames: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_sizes(width, height, frames=frames, preset=MULTI)


def test_a_shape_needs_whole_latents() -> None:
    with pytest.raises(ValueError, match=r"frames is 98; it must be a multiple of 4 .* take 96 or 100"):
        latent_shape(32, 16, 98)
    with pytest.raises(ValueError, match=r"height is 12; .* take 8 or 16"):
        latent_shape(32, 12, 8)


def test_another_vae_asks_for_other_sizes() -> None:
    vae = Compression(spatial=4, temporal=2)
    assert check_sizes(48, 16, frames=12, preset=MULTI, vae=vae) == (6, 4, 12)
    with pytest.raises(ValueError, match="width is 40; it must be a multiple of 16"):
        check_sizes(40, 16, frames=12, preset=MULTI, vae=vae)


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 60))
def test_what_passes_fills_the_patches_of_every_scale(width: int, height: int, frames: int) -> None:
    try:
        shape = check_sizes(width, height, frames=frames, preset=MULTI)
    except ValueError:
        assert width % 32 or height % 32 or frames % 8
        return
    assert shape == (frames / 4, height / 8, width / 8)
    assert all(len(grid_of(shape, scale)) == 3 for scale in MULTI.scales)
