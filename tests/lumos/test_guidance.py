"""Adaptive sampling: sure codes kept, guidance reused, fewer steps later; counted, off by default, batch-invariant."""

from dataclasses import replace
from itertools import permutations

import pytest
import torch
from torch import Tensor

from lumos.config import SamplerConfig
from lumos.generate import FrameDecoder, generate_codes
from lumos.guidance import Guidance
from lumos.model.modeling import LumosForCausalLM
from lumos.sampler import MASKED, GeneratorNoise, NoNoise, Step, guide, num_within, refine, undecided_places
from lumos.sequence import video_header

GRID = (8, 4)
CONFIG = SamplerConfig(num_steps=4, guidance_scale=3.0)
PROMPTS = [torch.tensor(ids) for ids in ([256, 70, 71], [256, 80, 81, 82, 83, 84], [256, 70, 71])]
ADAPTIVE = {
    "entropy_bound": {"entropy_bound": 40.0},
    "guidance_every": {"guidance_every": 2},
    "guidance_tolerance": {"guidance_tolerance": 0.9},
    "later_steps": {"later_steps": 0.5},
    "all": {"entropy_bound": 40.0, "guidance_every": 3, "guidance_tolerance": 0.9, "later_steps": 0.5},
}


def sampled(
    model: LumosForCausalLM, config: SamplerConfig, rows: tuple[int, ...] = (0, 1, 2)
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
    assert sampled(tiny_model, replace(CONFIG, guidance_every=2))[1] == [3 * (4 + 2) + 4] * 3
    assert sampled(tiny_model, replace(CONFIG, later_steps=0.25))[1] == [(4 + 1 + 1) * 2 + 4] * 3
    # no entropy is too much: one refinement a frame
    assert sampled(tiny_model, replace(CONFIG, entropy_bound=1e9))[1] == [3 * 2 + 4] * 3


@pytest.mark.parametrize("num_steps", [4, 20])
def test_settings_that_accept_nothing_and_reuse_nothing_change_nothing(
    tiny_model: LumosForCausalLM, num_steps: int
) -> None:
    exact = replace(CONFIG, num_steps=num_steps)
    never = replace(exact, entropy_bound=1e-9, guidance_every=1, guidance_tolerance=1e-9, later_steps=1.0)
    assert sampled(tiny_model, never)[0].equal(sampled(tiny_model, exact)[0])


def test_finished_samples_leave_the_batch_and_change_nothing(
    tiny_model: LumosForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, num_steps=12, entropy_bound=25.0, guidance_every=2)
    rows: list[int] = []
    run = FrameDecoder._run
    monkeypatch.setattr(FrameDecoder, "_run", lambda *a, **k: rows.append(k["num_rows"]) or run(*a, **k))
    orders = list(permutations(range(3)))  # whichever sample is left over, with noise and a guidance of its own
    leaving, in_fewer_rows = [sampled(tiny_model, config, order) for order in orders], sum(rows)
    assert min(rows) == 1
    rows.clear()
    monkeypatch.setattr(FrameDecoder, "can_select", False)
    for order, (codes, calls) in zip(orders, leaving, strict=True):
        staying = sampled(tiny_model, config, order)
        assert codes.equal(staying[0])
        assert calls == staying[1]
    assert in_fewer_rows < sum(rows)


def test_guidance_of_some_samples_keeps_what_was_theirs() -> None:
    config = SamplerConfig(guidance_scale=4.0, guidance_every=2, guidance_tolerance=0.1)
    guidance, places = Guidance(config, 3, 4), torch.arange(4).expand(3, -1)
    cond, noise, later = torch.randn(3, 3, 4, 5)
    uncond = cond + noise * torch.tensor([1.0, 1.0, 0.001])[:, None, None]
    guidance.guided(torch.cat([cond, uncond]), places, undecided=torch.ones(3, 4, dtype=torch.bool))
    last = guidance.select(torch.tensor([False, False, True]))
    assert [last.calls(index).tolist() for index in (1, 2)] == [[1], [1]]
    assert [guidance.calls(index).tolist() for index in (1, 2)] == [[1, 1, 1], [2, 2, 1]]
    guided = last.guided(later[2:], places[2:], undecided=torch.ones(1, 4, dtype=torch.bool))
    torch.testing.assert_close(guided, later[2:] + 3 * (cond - uncond)[2:])


@pytest.mark.parametrize(
    ("entropy", "bound", "kept"),
    [
        ([3.0, 3.0, 3.0], 0.1, 1),  # one code alone depends on no other
        ([0.1, 0.2, 3.0, 0.3], 0.2, 2),
        ([0.1, 0.2, 3.0, 0.3], 0.35, 3),  # the largest, 3.0, does not count
        ([0.1, 0.2, 3.0, 0.3], 0.65, 4),
        ([0.0, 0.0, 0.0, 3.0], 1e-6, 4),
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
    bound = float((entropy[:7].sum() - entropy[:7].max()) * 1.001)
    config = SamplerConfig(num_steps=50, entropy_bound=bound)
    step = Step(frame=1, index=0, first=False)
    kept = refine(codes, hidden[0], weight=weight, noise=[NoNoise()], step=step, sampler=config)[0]
    assert set((kept != MASKED).nonzero().flatten().tolist()) == set(order[:7].tolist())
    assert kept[kept != MASKED].equal(likeliest[kept != MASKED])
    # 5 of 12 are masked, far ahead of the schedule: where nothing is sure, one more is kept with every refinement
    again, config = torch.randn(5, 5) * 1e-3, replace(config, entropy_bound=1e-3)
    after = refine(kept[None], again, weight=weight, noise=[NoNoise()], step=step, sampler=config)
    assert int((after == MASKED).sum()) == 4


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


def test_a_reused_difference_guides_the_new_hidden_states() -> None:
    config = SamplerConfig(guidance_scale=4.0, guidance_every=2)
    guidance = Guidance(config, 2, 6)
    cond, uncond, later = torch.randn(2, 3, 5), torch.randn(2, 3, 5), torch.randn(2, 2, 5)
    places, all_of_them = torch.tensor([[1, 3, 4], [0, 2, 5]]), torch.ones(2, 3, dtype=torch.bool)
    assert [guidance.num_rows(index) for index in range(4)] == [4, 2, 4, 2]
    both = guidance.guided(torch.cat([cond, uncond]), places, undecided=all_of_them)
    torch.testing.assert_close(both, guide(cond, uncond, scale=4.0))
    alone = guidance.guided(later, torch.tensor([[3, 4], [0, 5]]), undecided=all_of_them[:, :2])
    kept = torch.tensor([[1, 2], [0, 2]])[..., None].expand(-1, -1, 5)
    torch.testing.assert_close(alone, later + 3 * (cond - uncond).gather(1, kept))


def test_branches_that_agree_stay_reused_row_by_row() -> None:
    guidance = Guidance(SamplerConfig(guidance_scale=4.0, guidance_tolerance=0.1), 2, 3)
    cond, noise = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    uncond = cond + noise * torch.tensor([0.001, 1.0])[:, None, None]
    places, undecided = torch.arange(3).expand(2, -1), torch.ones(2, 3, dtype=torch.bool)
    guidance.guided(torch.cat([cond, uncond]), places, undecided=undecided)
    assert guidance.calls(1).tolist() == [1, 2]
    assert guidance.num_rows(1) == 4
    other = torch.cat([cond, torch.randn(2, 3, 5)])
    guided = guidance.guided(other, places, undecided=undecided)
    torch.testing.assert_close(guided[0], guide(cond, uncond, scale=4.0)[0])
    torch.testing.assert_close(guided[1], guide(*other.chunk(2), scale=4.0)[1])


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
        first = decoder.hidden(codes, frame=0, places=places, num_rows=3)
    index = places.repeat(2, 1)[..., None].expand(-1, -1, whole.shape[-1])
    torch.testing.assert_close(some, whole.gather(1, index))
    torch.testing.assert_close(first, some[:3])


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
        ("guidance_every", 0),
        ("guidance_tolerance", 0.0),
        ("later_steps", 0.0),
        ("later_steps", 2.0),
    ],
)
def test_a_wrong_setting_is_named(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{setting} is {value}"):
        SamplerConfig(**{setting: value})
