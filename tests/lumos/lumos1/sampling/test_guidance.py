"""Adaptive sampling: sure codes kept, guidance ended, fewer steps later; counted, off by default, batch-invariant."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations

import pytest
import torch
from torch import Tensor

from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling.decode import FrameDecoder, generate_codes
from lumos.lumos1.sampling.guidance import Guidance
from lumos.lumos1.sampling.refine import (
    MASKED,
    GeneratorNoise,
    NoNoise,
    Step,
    divergence,
    guide,
    num_within,
    refine,
    schedule,
    scheduled_step,
    undecided_places,
)
from lumos.lumos1.sequence import video_header

GRID = (8, 4)
CONFIG = SamplerConfig(num_steps=4, guidance_scale=3.0)
PROMPTS = [torch.tensor(ids) for ids in ([256, 70, 71], [256, 80, 81, 82, 83, 84], [256, 70, 71])]
ADAPTIVE = {
    "entropy_bound": {"entropy_bound": 40.0},
    "guidance_tolerance": {"guidance_tolerance": 0.06},
    "later_steps": {"later_steps": 0.5},
    "all": {"entropy_bound": 40.0, "guidance_tolerance": 0.06, "later_steps": 0.5},
}


def sampled(
    model: LumosForCausalLM, config: SamplerConfig, rows: tuple[int, ...] = (0, 1, 2), *, graphs: bool = False
) -> tuple[Tensor, list[int]]:
    calls = torch.zeros(len(rows), dtype=torch.long)
    codes = generate_codes(
        model,
        [PROMPTS[row] for row in rows],
        grid=GRID,
        num_latent_frames=3,
        fps=6,
        duration=2,
        sampler=config,
        noise=[GeneratorNoise(row) for row in rows],
        calls=calls,
        graphs=graphs,
    )
    return codes, calls.tolist()


def test_exact_mode_counts_every_pass_of_both_branches(tiny_model: LumosForCausalLM) -> None:
    refinements, histories = 3 * 4 * 2, 2 * 2
    assert sampled(tiny_model, CONFIG)[1] == [refinements + histories] * 3
    assert sampled(tiny_model, replace(CONFIG, guidance_scale=1.0))[1] == [3 * 4 + 2] * 3


@pytest.mark.parametrize("name", ADAPTIVE)
def test_each_setting_makes_fewer_calls_and_a_sample_does_not_depend_on_its_batch(
    tiny_model: LumosForCausalLM, name: str
) -> None:
    config = replace(CONFIG, **ADAPTIVE[name])
    codes, calls = sampled(tiny_model, config)
    assert 0 <= int(codes.min()) <= int(codes.max()) < 50
    assert max(calls) <= 28
    assert sum(calls) < 3 * 28
    for row in range(3):
        alone, own_calls = sampled(tiny_model, config, (row,))
        assert alone[0].equal(codes[row])
        assert own_calls == [calls[row]]


def test_numbers_of_calls_follow_the_settings(tiny_model: LumosForCausalLM) -> None:
    assert sampled(tiny_model, replace(CONFIG, later_steps=0.25))[1] == [(4 + 1 + 1) * 2 + 4] * 3
    # no entropy is too much: one refinement a frame
    assert sampled(tiny_model, replace(CONFIG, entropy_bound=1e9))[1] == [3 * 2 + 4] * 3
    # the branches always agree: the first refinement of a frame finds that out
    assert sampled(tiny_model, replace(CONFIG, guidance_tolerance=1e9))[1] == [3 * (4 + 1) + 4] * 3


@pytest.mark.parametrize("num_steps", [4, 20])
def test_settings_that_accept_nothing_and_end_nothing_change_nothing(
    tiny_model: LumosForCausalLM, num_steps: int
) -> None:
    exact = replace(CONFIG, num_steps=num_steps)
    never = replace(exact, entropy_bound=1e-9, guidance_tolerance=1e-9, later_steps=1.0)
    assert sampled(tiny_model, never)[0].equal(sampled(tiny_model, exact)[0])


def test_rows_that_nothing_depends_on_leave_the_batch_and_change_nothing(
    tiny_model: LumosForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, num_steps=20, entropy_bound=20.0, guidance_tolerance=0.06)  # one sample outlasts the rest
    rows: list[int] = []
    run = FrameDecoder._run
    monkeypatch.setattr(FrameDecoder, "_run", lambda *a, **k: rows.append(len(a[1])) or run(*a, **k))
    orders = list(permutations(range(3)))  # whichever sample is left over, with noise and a guidance of its own
    leaving, in_fewer_rows = [sampled(tiny_model, config, order) for order in orders], sum(rows)
    assert min(rows) == 1
    rows.clear()
    monkeypatch.setattr(FrameDecoder, "narrowed", lambda self, *a, **k: self)
    for order, (codes, calls) in zip(orders, leaving, strict=True):
        staying = sampled(tiny_model, config, order)
        assert codes.equal(staying[0])
        assert calls == staying[1]
    assert in_fewer_rows < sum(rows)


def test_captured_passes_of_fixed_shapes_give_the_same_codes(
    tiny_model: LumosForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []

    def captured(run: Callable[[Tensor], Tensor], ids: Tensor) -> Callable[[Tensor], Tensor]:
        static = ids.clone()
        shapes.append(tuple(ids.shape))
        return lambda ids: run(static.copy_(ids.reshape(static.shape)))  # on the memory that was captured

    monkeypatch.setattr("lumos.lumos1.sampling.decode.captured", captured)
    config = replace(CONFIG, num_steps=20, entropy_bound=20.0, guidance_tolerance=0.06)
    plain, graphed = sampled(tiny_model, config), sampled(tiny_model, config, graphs=True)
    assert graphed[0].equal(plain[0])
    assert graphed[1] == plain[1]
    assert {rows for rows, _ in shapes} == {3, 6}  # both branches of all samples, or one
    assert len(shapes) <= 2 * 3


def test_guidance_ends_where_the_branches_agree_row_by_row() -> None:
    config, weight = SamplerConfig(guidance_scale=4.0, guidance_tolerance=0.02), torch.randn(30, 5)
    guidance, undecided = Guidance(config, 3, num_positions=4, weight=weight), torch.ones(3, 4, dtype=torch.bool)
    everyone = torch.ones(3, dtype=torch.bool)
    cond, noise = torch.randn(2, 3, 4, 5)
    uncond = cond + noise * torch.tensor([0.001, 1.0, 1.0])[:, None, None]
    uncond[2, 0], undecided[2, 1:] = cond[2, 0], False  # they agree in all that counts
    assert guidance.rows(everyone) == [0, 1, 2, 3, 4, 5]
    first = guidance.guided(torch.cat([cond, uncond]), rows=range(6), undecided=undecided)
    torch.testing.assert_close(first, guide(cond, uncond, scale=4.0))
    assert guidance.rows(everyone) == [0, 1, 2, 4]
    cond, uncond = torch.randn(2, 3, 4, 5)
    second = guidance.guided(torch.cat([cond, uncond[1:2]]), rows=[0, 1, 2, 4], undecided=undecided)
    assert second[[0, 2]].equal(cond[[0, 2]])
    torch.testing.assert_close(second[1], guide(cond[1], uncond[1], scale=4.0))
    # what has ended never begins again; what is finished needs no row
    assert guidance.rows(torch.tensor([True, True, False])) == [0, 1, 4]
    assert guidance.rows(torch.tensor([True, False, True])) == [0, 2]
    third = guidance.guided(cond[[0, 2]], rows=[0, 2], undecided=undecided)
    assert third[[0, 2]].equal(cond[[0, 2]])


def test_guidance_of_scale_1_is_the_branch_with_text_alone() -> None:
    guidance = Guidance(SamplerConfig(guidance_scale=1.0), 2, num_positions=3, weight=torch.randn(30, 5))
    hidden, undecided = torch.randn(2, 3, 5), torch.ones(2, 3, dtype=torch.bool)
    assert guidance.rows(torch.tensor([True, True])) == [0, 1]
    assert guidance.guided(hidden, rows=[0, 1], undecided=undecided).equal(hidden)


@pytest.mark.parametrize(("share", "rows"), [(0.999, [0, 1]), (1.001, [0])])
def test_guidance_ends_at_the_mean_of_the_divergences(share: float, rows: list[int]) -> None:
    weight, (cond, uncond) = torch.randn(30, 5), torch.randn(2, 1, 4, 5)
    config = SamplerConfig(guidance_scale=4.0, temperature=0.5)
    moved = divergence(guide(cond, uncond, scale=4.0)[0], cond[0], weight=weight, sampler=config)
    config = replace(config, guidance_tolerance=share * float(moved.sum()) / 7)  # of 7 codes 3 are decided
    guidance = Guidance(config, 1, num_positions=7, weight=weight)
    guidance.guided(torch.cat([cond, uncond]), rows=[0, 1], undecided=torch.ones(1, 4, dtype=torch.bool))
    assert guidance.rows(torch.tensor([True])) == rows


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_divergence_is_that_of_the_distributions_with_their_temperature(
    temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lumos.lumos1.sampling.refine._CHUNK_BYTES", {"cpu": 2 * 4 * 30})  # two rows at a time
    hidden, other, weight = torch.randn(7, 5), torch.randn(7, 5), torch.randn(30, 5)
    sampler = SamplerConfig(temperature=temperature, top_k=3)  # which does not count: nearly all would be infinite
    p, q = ((states @ weight.T / temperature).double().softmax(-1) for states in (hidden, other))
    found = divergence(hidden, other, weight=weight, sampler=sampler)
    torch.testing.assert_close(found, (p * (p / q).log()).sum(-1).float(), rtol=1e-4, atol=1e-6)
    assert divergence(hidden, hidden, weight=weight, sampler=sampler).abs().max() < 1e-6
    certain = divergence(1000 * hidden, other, weight=weight, sampler=sampler)  # most p are 0 in fp32
    expected = -q.gather(1, (hidden @ weight.T).argmax(-1)[:, None]).log()[:, 0]
    torch.testing.assert_close(certain, expected.float(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("entropy", "bound", "kept"),
    [
        ([3.0, 3.0, 3.0], 0.1, 0),
        ([0.1, 0.2, 3.0, 0.3], 0.2, 1),
        ([0.1, 0.2, 3.0, 0.3], 0.35, 2),
        ([0.1, 0.2, 3.0, 0.3], 3.65, 4),
        ([0.0, 0.0, 0.0, 3.0], 1e-6, 3),
        ([0.5, 0.5, 3.0], 1.0, 2),
        ([], 1.0, 0),
    ],
)
def test_entropies_that_fit_a_bound(entropy: list[float], bound: float, kept: int) -> None:
    assert num_within(torch.tensor(entropy), bound=bound) == kept


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


def test_schedule_is_that_of_exact_sampling_and_a_row_ahead_of_it_goes_on_from_there() -> None:
    assert schedule(4, 32) == (32, 29, 22, 12)
    assert schedule(20, 12)[:4] == (12, 11, 10, 9)  # one a step, however slowly the cosine falls
    found = [scheduled_step(unknown, num_steps=4, num_positions=32) for unknown in (32, 30, 29, 23, 22, 12, 1, 0)]
    assert found == [0, 0, 1, 1, 2, 3, 3, 3]
    assert scheduled_step(1, num_steps=20, num_positions=12) == 19
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


def test_noise_of_a_row_ahead_of_the_schedule_is_that_of_its_step() -> None:
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


def test_undecided_places_come_first_and_in_order() -> None:
    places, undecided = undecided_places(torch.tensor([[5, -1, 3, -1], [-1, 2, 7, 1]]))
    assert places.tolist() == [[1, 3], [0, 1]]
    assert undecided.tolist() == [[True, True], [True, False]]


def test_wanted_places_and_rows_are_those_of_the_whole(tiny_model: LumosForCausalLM) -> None:
    header = video_header(tiny_model.vocab, fps=6, duration=2)
    texts = [*PROMPTS, header, header, header]
    codes = torch.where(torch.rand(3, 32) < 0.6, MASKED, torch.randint(0, 50, (3, 32)))
    places, _ = undecided_places(codes)
    with torch.inference_mode():
        decoder = FrameDecoder(tiny_model, texts, grid=GRID, num_latent_frames=2)
        decoder.read_text()
        whole = decoder.hidden(codes, frame=0)
        some = decoder.hidden(codes, frame=0, places=places)
        first = decoder.hidden(codes, frame=0, places=places, rows=[0, 1, 2])
        picked = decoder.hidden(codes, frame=0, places=places, rows=[1, 2, 4])
        narrowed = decoder.narrowed([1, 2, 4], num_samples=3)
        assert decoder.narrowed([0, 1, 2, 4], num_samples=3) is decoder  # more than half: not worth a copy
        assert decoder.narrowed([0, 2], num_samples=3) is decoder
        again = narrowed.hidden(codes, frame=0, places=places, rows=[1, 2, 4])
        last = narrowed.hidden(codes, frame=0, places=places, rows=[2])
        twice = narrowed.narrowed([4], num_samples=3)
        assert twice is not narrowed
        most = twice.hidden(codes, frame=0, places=places, rows=[4])
    index = places.repeat(2, 1)[..., None].expand(-1, -1, whole.shape[-1])
    torch.testing.assert_close(some, whole.gather(1, index))
    torch.testing.assert_close(first, some[:3])
    for found in (picked, again):
        torch.testing.assert_close(found, some[[1, 2, 4]])
    torch.testing.assert_close(last, some[[2]])
    torch.testing.assert_close(most, some[[4]])


def test_equal_texts_are_read_once(tiny_model: LumosForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, hidden = [], tiny_model.hidden
    monkeypatch.setattr(tiny_model, "hidden", lambda ids, **k: rows.append(len(ids)) or hidden(ids, **k))
    sampled(tiny_model, replace(CONFIG, num_steps=1))
    assert rows[0] == 3  # two prompts of three differ, and the header of the other branch
    assert rows[1] == 6


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("entropy_bound", 0.0),
        ("entropy_bound", -1.0),
        ("guidance_tolerance", 0.0),
        ("later_steps", 0.0),
        ("later_steps", 2.0),
    ],
)
def test_a_wrong_setting_is_named(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{setting} is {value}"):
        SamplerConfig(**{setting: value})
