"""One refinement: draws, confidence, masking again, and that a clip does not depend on its batch."""

import math
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.sampling import logits as logits_module
from lumos.lumos1.sampling.noise import NoiseSource
from lumos.lumos1.sampling.refine import MASKED, FrameCodes, GeneratorNoise, NoNoise
from lumos.lumos1.sampling.refine import refine as refine_frame
from lumos.lumos1.sampling.schedule import Step, num_masked


def step(index: int = 0, *, frame: int = 0, first: bool = True) -> Step:
    return Step(frame=frame, index=index, first=first)


def refine(codes: Tensor, hidden: Tensor, **how: Any) -> Tensor:
    refined = refine_frame(FrameCodes.of(codes), hidden, **how)
    assert refined.num_masked == tuple((refined.codes == MASKED).sum(dim=1).tolist())
    return refined.codes


def case(batch: int = 2, positions: int = 12, width: int = 5, codes: int = 30) -> tuple[Tensor, Tensor, Tensor]:
    hidden, weight = torch.randn(batch, positions, width), torch.randn(codes, width)
    return torch.full((batch, positions), MASKED), hidden, weight


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


def test_a_clip_is_the_same_alone_in_a_batch_and_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, hidden, weight = case(batch=3)
    noise, config = [GeneratorNoise(seed) for seed in (5, 6, 7)], SamplerConfig(num_steps=4)
    together = refine(codes, hidden.flatten(0, 1), weight=weight, noise=noise, step=step(1), sampler=config)
    for clip in range(3):
        own = slice(clip, clip + 1)
        alone = refine(
            codes[own], hidden[own].flatten(0, 1), weight=weight, noise=noise[own], step=step(1), sampler=config
        )
        assert alone.equal(together[own])
    monkeypatch.setitem(logits_module._CHUNK_BYTES, "cpu", 4 * 30 * 5)
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


def test_the_surest_codes_within_the_bound_are_kept_beyond_the_schedule() -> None:
    hidden, weight = torch.randn(1, 12, 5) * 2, torch.randn(30, 5)
    codes = torch.full((1, 12), MASKED)
    log_prob = (hidden[0] @ weight.T).log_softmax(-1)
    certainty, likeliest = log_prob.max(-1)
    order = certainty.argsort(descending=True)
    entropy = -(log_prob.exp() * log_prob).sum(-1)[order]
    bound = float(entropy[:7].sum() * 1.001)
    config = SamplerConfig(num_steps=50, entropy_bound=bound)
    step = Step(frame=1, index=0, first=False)
    kept = refine(codes, hidden[0], weight=weight, noise=[NoNoise()], step=step, sampler=config)[0]
    assert set((kept != MASKED).nonzero().flatten().tolist()) == set(order[:7].tolist())
    assert kept[kept != MASKED].equal(likeliest[kept != MASKED])
    # 5 of 12 are masked, far ahead of the schedule: where nothing is sure, one more is kept with every refinement
    again, config = torch.randn(5, 5) * 1e-3, replace(config, entropy_bound=1e-3)
    after = refine(kept[None], again, weight=weight, noise=[NoNoise()], step=step, sampler=config)
    assert int((after == MASKED).sum()) == 4


def test_a_clip_ahead_of_the_schedule_goes_on_from_there() -> None:
    weight, step = torch.randn(30, 5), Step(frame=1, index=0, first=False)
    # nothing is sure, so that the schedule decides alone; 12 are where its last step begins
    for unknown, bound, masked in ((22, None, 21), (23, 1e-3, 22), (22, 1e-3, 12), (12, 1e-3, 0)):
        codes = torch.where(torch.arange(32) < unknown, MASKED, torch.arange(32))[None]
        config, hidden = SamplerConfig(num_steps=4, entropy_bound=bound), torch.randn(unknown, 5) * 1e-3
        refined = refine(codes, hidden, weight=weight, noise=[NoNoise()], step=step, sampler=config)
        assert int((refined == MASKED).sum()) == masked
    codes = torch.where(torch.arange(32) < torch.tensor([[22], [32]]), MASKED, torch.arange(32))
    config, noise = SamplerConfig(num_steps=4, entropy_bound=1e-3), [NoNoise(), NoNoise()]
    refined = refine(codes, torch.randn(54, 5) * 1e-3, weight=weight, noise=noise, step=step, sampler=config)
    assert (refined == MASKED).sum(dim=1).tolist() == [12, 29]


def test_noise_of_a_clip_ahead_of_the_schedule_is_that_of_its_step() -> None:
    @dataclass(frozen=True)
    class First(NoNoise):
        """Lifts the confidence of position 0 by more than all others have."""

        def uniform(self, *, frame: int, step: int, num_positions: int) -> Tensor:
            return torch.where(torch.arange(num_positions) == 0, 1 - 2**-24, math.exp(-1))

    weight, step = torch.eye(6), Step(frame=0, index=0, first=True)
    hidden = 3 * weight[torch.arange(12) % 6] * torch.linspace(1, 2, 12)[:, None]  # the later, the surer
    kept = []
    for num_decided in (0, 20):
        codes = torch.cat([torch.full((12,), MASKED), torch.zeros(num_decided, dtype=torch.long)])[None]
        config = SamplerConfig(num_steps=12, entropy_bound=1e-9)
        refined = refine(codes, hidden, weight=weight, noise=[First()], step=step, sampler=config)
        kept.append(refined[0, 0].item() != MASKED)
    assert kept == [True, False]


def test_entropy_is_of_the_distribution_that_is_drawn_from() -> None:
    hidden, weight = torch.randn(1, 12, 5), torch.randn(30, 5)
    codes = torch.full((1, 12), MASKED)
    for sharp in ({"temperature": 1e-3}, {"top_k": 1}):  # nothing is open: the whole frame at once
        config = SamplerConfig(num_steps=50, entropy_bound=1e-3, **sharp)
        step = Step(frame=0, first=True)
        refined = refine(codes, hidden[0], weight=weight, noise=[GeneratorNoise(0)], step=step, sampler=config)
        assert MASKED not in refined.tolist()[0]


@dataclass(frozen=True)
class AskedAlone:
    """The noise of a seed, asked clip by clip as any source that a caller writes."""

    seed: int

    def draw(self, logits: Tensor, *, frame: int, step: int, positions: Tensor) -> Tensor:
        return GeneratorNoise(self.seed).draw(logits, frame=frame, step=step, positions=positions)

    def uniform(self, *, frame: int, step: int, num_positions: int) -> Tensor:
        return GeneratorNoise(self.seed).uniform(frame=frame, step=step, num_positions=num_positions)


@pytest.mark.parametrize("entropy_bound", [None, 20.0])
def test_clips_drawn_together_are_those_of_sources_asked_one_by_one(
    entropy_bound: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes, hidden, weight = case(batch=3)
    codes[1, :5], codes[2] = 7, 9  # one has fewer masked, one none
    config = SamplerConfig(num_steps=4, entropy_bound=entropy_bound)
    monkeypatch.setitem(logits_module._CHUNK_BYTES, "cpu", 4 * 30 * 5)  # chunks across clips
    found = []
    for source in (GeneratorNoise, AskedAlone):
        noise: list[NoiseSource] = [source(seed) for seed in range(3)]
        how = {"weight": weight, "noise": noise, "step": step(1), "sampler": config}
        found.append(refine(codes, hidden[codes == MASKED], **how))
    assert found[0].equal(found[1])
    assert found[0][2].equal(codes[2])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_not_finite_are_found_in_any_chunk(bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    codes, hidden, weight = case()
    hidden[1, 7, 2] = bad
    monkeypatch.setitem(logits_module._CHUNK_BYTES, "cpu", 4 * 30 * 5)
    noise, config = [GeneratorNoise(0), GeneratorNoise(1)], SamplerConfig(num_steps=4)
    with pytest.raises(ValueError, match="latent frame 0, refinement 2, are not finite"):
        refine(codes, hidden.flatten(0, 1), weight=weight, noise=noise, step=step(2), sampler=config)
