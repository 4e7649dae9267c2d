"""One refinement step: exact draws, confidence, re-masking, and that a sample does not depend on its batch."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.sampling import refine as sampler_module
from lumos.lumos1.sampling.refine import (
    MASKED,
    GeneratorNoise,
    NoNoise,
    Step,
    confidence_temperature,
    guide,
    inverse_cdf,
    num_masked,
    refine,
)


def step(index: int = 0, *, frame: int = 0, first: bool = True) -> Step:
    return Step(frame=frame, index=index, first=first)


def case(batch: int = 2, positions: int = 12, width: int = 5, codes: int = 30) -> tuple[Tensor, Tensor, Tensor]:
    hidden, weight = torch.randn(batch, positions, width), torch.randn(codes, width)
    return torch.full((batch, positions), MASKED), hidden, weight


def test_guidance_of_hidden_states_is_guidance_of_logits() -> None:
    weight, cond, uncond = torch.randn(11, 5), torch.randn(3, 5), torch.randn(3, 5)
    expected = uncond @ weight.T + 7.5 * (cond @ weight.T - uncond @ weight.T)
    torch.testing.assert_close(guide(cond, uncond, scale=7.5) @ weight.T, expected, atol=1e-4, rtol=1e-5)


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


@pytest.mark.parametrize("num_steps", [18, 50])
@pytest.mark.parametrize("num_positions", [1792, 4032])
def test_mask_counts_equal_the_released_ones(golden: Path, num_steps: int, num_positions: int) -> None:
    numbers = json.loads((golden / "schedules.json").read_text())["mask_len"]
    unknown, counts = num_positions, []
    for index in range(num_steps):
        unknown = num_masked(index, num_steps=num_steps, unknown=unknown, num_positions=num_positions)
        counts.append(unknown)
    assert counts == numbers[f"cosine_T{num_steps}_N{num_positions}"]["mask_len"]


@pytest.mark.parametrize("num_steps", [4, 18, 50])
def test_released_temperature_is_never_reset(golden: Path, num_steps: int) -> None:
    numbers = json.loads((golden / "schedules.json").read_text())["temperature_after_each_step_two_frames_start1.0"]
    config = SamplerConfig(num_steps=num_steps)
    taus = [
        confidence_temperature(config, step(index, frame=frame, first=frame == 0))
        for frame in range(2)
        for index in range(num_steps)
    ]
    assert taus == pytest.approx(numbers[str(num_steps)], abs=1e-12)


def test_per_frame_temperature_starts_anew() -> None:
    config = SamplerConfig(num_steps=4, confidence_temperature="per_frame")
    assert confidence_temperature(config, step(0, frame=1, first=False)) == 0.75


def test_decided_codes_stay_and_the_schedule_says_how_many_are_masked_again() -> None:
    codes, hidden, weight = case()
    config = SamplerConfig(num_steps=5)
    noise = [GeneratorNoise(0), GeneratorNoise(1)]
    for index in range(5):
        before = codes
        codes = refine(codes, hidden[codes == MASKED], weight=weight, noise=noise, step=step(index), sampler=config)
        decided = before != MASKED
        assert (codes[decided] == before[decided]).all()
        unknown = [num_masked(index, num_steps=5, unknown=int(n), num_positions=12) for n in (~decided).sum(1)]
        assert (codes == MASKED).sum(1).tolist() == (unknown if index < 4 else [0, 0])


def test_without_noise_the_surest_codes_are_kept() -> None:
    codes, hidden, weight = case(batch=1)
    refined = refine(
        codes, hidden.flatten(0, 1), weight=weight, noise=[NoNoise()], step=step(1), sampler=SamplerConfig(num_steps=3)
    )
    logits = hidden[0] @ weight.T
    sure, likeliest = logits.log_softmax(-1).max(-1)
    kept = (refined[0] != MASKED).nonzero().flatten()
    assert set(kept.tolist()) == set(sure.topk(len(kept)).indices.tolist())
    assert refined[0, kept].tolist() == likeliest[kept].tolist()


def test_a_sample_is_the_same_alone_in_a_batch_and_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, hidden, weight = case(batch=3)
    noise, config = [GeneratorNoise(seed) for seed in (5, 6, 7)], SamplerConfig(num_steps=4)
    together = refine(codes, hidden.flatten(0, 1), weight=weight, noise=noise, step=step(1), sampler=config)
    for row in range(3):
        own = slice(row, row + 1)
        alone = refine(
            codes[own], hidden[own].flatten(0, 1), weight=weight, noise=noise[own], step=step(1), sampler=config
        )
        assert alone.equal(together[own])
    monkeypatch.setitem(sampler_module._CHUNK_BYTES, "cpu", 4 * 30 * 5)
    chunked = refine(codes, hidden.flatten(0, 1), weight=weight, noise=noise, step=step(1), sampler=config)
    assert chunked.equal(together)


def test_top_k_and_temperature_shape_the_distribution() -> None:
    codes, hidden, weight = case(batch=1, positions=400)
    hidden = hidden[:, :1].expand(1, 400, 5)
    last = step(0)
    config = SamplerConfig(num_steps=1, top_k=3)
    drawn = refine(codes, hidden.flatten(0, 1), weight=weight, noise=[GeneratorNoise(0)], step=last, sampler=config)
    logits = hidden[0, 0] @ weight.T
    assert set(drawn.flatten().tolist()) <= set(logits.topk(3).indices.tolist())
    cold = SamplerConfig(num_steps=1, temperature=1e-3)
    drawn = refine(codes, hidden.flatten(0, 1), weight=weight, noise=[GeneratorNoise(0)], step=last, sampler=cold)
    assert (drawn == logits.argmax()).all()
