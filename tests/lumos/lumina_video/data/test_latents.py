"""What a clip of latents says of itself."""

from dataclasses import replace

import pytest
import torch

from lumos.lumina_video.data.latents import LatentClip

CLIP = LatentClip(
    caption="a", latent=torch.zeros(3, 5, 2, 4).bfloat16(), lead=1, motion=2.5, fps=8.0, seconds=2.0, source="a.mp4"
)


def test_the_lead_is_left_out() -> None:
    assert CLIP.kept.shape == (3, 4, 2, 4)
    assert replace(CLIP, lead=0).kept.shape == (3, 5, 2, 4)


def test_one_latent_is_an_image() -> None:
    assert replace(CLIP, latent=CLIP.latent[:, :1], lead=0).is_image
    assert not CLIP.is_image


@pytest.mark.parametrize("lead", [-1, 2, 5])
def test_a_lead_is_one_latent_or_none(lead: int) -> None:
    with pytest.raises(ValueError, match=f"lead is {lead} of 5"):
        replace(CLIP, lead=lead)
    with pytest.raises(ValueError, match="lead is 1 of 1"):
        replace(CLIP, latent=CLIP.latent[:, :1])


@pytest.mark.parametrize(("name", "values"), [("fps", (-5.0, 0.0)), ("seconds", (-1.0,))])
def test_a_rate_and_a_length_are_such_as_a_clip_can_have(name: str, values: tuple[float, ...]) -> None:
    for value in (*values, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"{name} is {value:g}; it must be"):
            replace(CLIP, **{name: value})


@pytest.mark.parametrize("motion", [-0.5, float("nan"), float("inf")])
def test_a_motion_score_is_a_length_or_unknown(motion: float) -> None:
    with pytest.raises(ValueError, match="motion is"):
        replace(CLIP, motion=motion)
    assert replace(CLIP, motion=-1.0).motion == -1
