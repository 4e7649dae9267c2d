"""A camera over a picture: what is seen moves by what was asked for."""

import pytest
import torch

from lumos.filming.camera import Camera, film
from lumos.filming.picture import Picture, pyramid
from lumos.filming.textures import texture
from xllmx.rng import generator_for

SIZE = {"num_frames": 5, "height": 24, "width": 40}


@pytest.fixture(scope="module")
def picture() -> Picture:
    y, x = torch.meshgrid(torch.arange(120.0), torch.arange(200.0), indexing="ij")
    return pyramid("ramp", torch.stack([x, y, (x + y) / 2]).round().to(torch.uint8))


def test_a_camera_that_stands_shows_the_middle_of_the_picture_at_every_time(picture: Picture):
    clip = film(picture, Camera(x=100.0, y=60.0, scale=1.0), **SIZE)
    expected = picture.levels[0][:, 48:72, 80:120].float()
    torch.testing.assert_close(clip, expected[:, None].expand(-1, 5, -1, -1), atol=1e-3, rtol=0)


def test_a_pan_is_so_many_pixels_of_the_clip_a_frame(picture: Picture):
    clip = film(picture, Camera(x=100.0, y=60.0, scale=2.0, pan_x=1.5, pan_y=-0.5), **SIZE)
    steps = (clip[:, 1:] - clip[:, :-1]).mean(dim=(1, 2, 3))
    torch.testing.assert_close(steps, torch.tensor([3.0, -1.0, 1.0]), atol=0.05, rtol=0)  # pixels of the ramp


def test_zoom_multiplies_the_scale_and_turn_adds_to_the_angle():
    camera = Camera(x=7.0, y=9.0, scale=2.0, zoom=0.5, angle=30.0, turn=30.0)
    places = camera.places(num_frames=3, height=2, width=4) - torch.tensor([7.0, 9.0])
    first = places[0, 0, 1]
    assert places.shape == (3, 2, 4, 2)
    torch.testing.assert_close(places.norm(dim=-1)[2], places.norm(dim=-1)[0] / 4)
    right_angle = torch.stack([-first[1], first[0]]) / 4  # two frames: 60 degrees more than 30
    sixty = 0.5 * first / 4 + 3**0.5 / 2 * right_angle
    torch.testing.assert_close(places[2, 0, 1], sixty)


def test_a_small_view_is_read_from_a_small_level_and_is_not_jagged():
    """Of single pixels of noise, 8 to a pixel of the clip, their mean is left."""
    noise = torch.randint(256, (3, 256, 512), generator=generator_for(0), dtype=torch.uint8)
    clip = film(pyramid("noise", noise), Camera(x=256.0, y=128.0, scale=8.0), num_frames=1, height=24, width=40)
    assert float(clip.std()) < 20 < float(noise.float().std())


def test_beyond_the_edge_stands_the_reflection(picture: Picture):
    clip = film(picture, Camera(x=0.0, y=60.0, scale=1.0), num_frames=1, height=24, width=40)[0, 0, 0]
    torch.testing.assert_close(clip[:20], clip[20:].flip(0), atol=0.51, rtol=0)


def test_a_scale_of_nothing_is_refused():
    with pytest.raises(ValueError, match="scale"):
        Camera(x=0.0, y=0.0, scale=0.0)


def test_textures_are_pictures_of_their_seed_alone():
    drawn = [texture(generator_for(seed), side_px=48) for seed in range(24)]
    assert all(one.shape == (3, 48, 48) and one.dtype == torch.uint8 for one in drawn)
    assert torch.equal(drawn[3], texture(generator_for(3), side_px=48))
    assert len({one.numpy().tobytes() for one in drawn}) == 24
    assert all(float(one.float().std()) > 1 for one in drawn)
