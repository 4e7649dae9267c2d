"""Exact draws, and noise that is a function of seed, frame, step and position."""

import pytest
import torch

from lumos.lumos1.sampling.noise import GeneratorNoise, NoNoise, gumbel, inverse_cdf


@pytest.mark.parametrize("num_codes", [7, 256, 1000])
def test_inverse_cdf_draws_from_the_softmax(num_codes: int) -> None:
    logits = torch.randn(num_codes) * 2
    u = (torch.arange(20000) + 0.5) / 20000
    drawn = inverse_cdf(logits.expand(20000, -1), u)
    shares = torch.bincount(drawn, minlength=num_codes) / 20000
    torch.testing.assert_close(shares, logits.softmax(-1), atol=1.1e-4, rtol=0)
    assert (drawn.diff() >= 0).all(), "the inverse of a distribution function rises"


def test_inverse_cdf_never_draws_what_has_no_probability() -> None:
    logits = torch.full((4, 600), -torch.inf)
    logits[:, [0, 255, 256, 599]] = 0.0
    u = torch.tensor([0.0, 0.4999999, 0.5, 1 - 2**-53], dtype=torch.float64)
    assert inverse_cdf(logits, u).tolist() == [0, 255, 256, 599]


def test_generator_noise_is_a_function_of_seed_frame_step_and_position() -> None:
    logits, positions = torch.randn(5, 1).expand(5, 1) + torch.randn(300), torch.tensor([2, 3, 7, 8, 11])
    whole = GeneratorNoise(3).draw(logits, frame=1, step=2, positions=positions)
    parts = [
        GeneratorNoise(3).draw(logits[i : i + 1], frame=1, step=2, positions=positions[i : i + 1]) for i in range(5)
    ]
    assert whole.tolist() == torch.cat(parts).tolist()
    for other in ((4, 1, 2), (3, 2, 2), (3, 1, 3), (3, 2, 1)):
        drawn = GeneratorNoise(other[0]).draw(logits, frame=other[1], step=other[2], positions=positions)
        assert drawn.tolist() != whole.tolist()


def test_generator_noise_gives_uniforms_inside_0_and_1() -> None:
    u = GeneratorNoise(0).uniform(frame=0, step=0, num_positions=100000)
    assert u.min() > 0
    assert u.max() < 1
    assert u.mean() == pytest.approx(0.5, abs=0.01)


def test_gumbel_noise_is_finite_and_0_without_noise() -> None:
    assert gumbel(torch.tensor([0.0, 1.0])).isfinite().all()
    torch.testing.assert_close(gumbel(NoNoise().uniform(frame=0, step=0, num_positions=3)), torch.zeros(3))
