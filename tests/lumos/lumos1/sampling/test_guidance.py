"""Guidance, and adaptive sampling: sure codes kept, guidance ended, fewer steps later; counted, batch-invariant."""

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import pytest
import torch
from torch import Tensor

from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling.decode import generate
from lumos.lumos1.sampling.frame_decoder import FrameDecoder
from lumos.lumos1.sampling.guidance import Guidance, divergence, guide
from lumos.lumos1.sampling.noise import GeneratorNoise
from lumos.lumos1.sampling.request import ClipRequest

GRID = (8, 4)
CONFIG = SamplerConfig(num_steps=4, guidance_scale=3.0)
PROMPTS = [torch.tensor(ids) for ids in ([256, 70, 71], [256, 80, 81, 82, 83, 84], [256, 70, 71])]
ADAPTIVE = {
    "entropy_bound": {"entropy_bound": 40.0},
    "guidance_tolerance": {"guidance_tolerance": 0.06},
    "later_steps": {"later_steps": 0.5},
    "all": {"entropy_bound": 40.0, "guidance_tolerance": 0.06, "later_steps": 0.5},
}


def test_guidance_of_hidden_states_is_guidance_of_logits() -> None:
    weight, cond, uncond = torch.randn(11, 5), torch.randn(3, 5), torch.randn(3, 5)
    expected = uncond @ weight.T + 7.5 * (cond @ weight.T - uncond @ weight.T)
    torch.testing.assert_close(guide(cond, uncond, scale=7.5) @ weight.T, expected, atol=1e-4, rtol=1e-5)


def generated(
    model: LumosForCausalLM, config: SamplerConfig, clips: tuple[int, ...] = (0, 1, 2), *, graphs: bool = False
) -> tuple[Tensor, list[int]]:
    request = ClipRequest(
        prompt_ids=[PROMPTS[clip] for clip in clips],
        grid=GRID,
        num_latent_frames=3,
        fps=6,
        duration=2,
        sampler=config,
        noise=[GeneratorNoise(clip) for clip in clips],
    )
    made = generate(model, request, graphs=graphs)
    return made.codes, made.model_calls.tolist()


def test_exact_mode_counts_every_pass_of_both_branches(tiny_model: LumosForCausalLM) -> None:
    refinements, histories = 3 * 4 * 2, 2 * 2
    assert generated(tiny_model, CONFIG)[1] == [refinements + histories] * 3
    assert generated(tiny_model, replace(CONFIG, guidance_scale=1.0))[1] == [3 * 4 + 2] * 3


@pytest.mark.parametrize("name", ADAPTIVE)
def test_each_setting_makes_fewer_calls_and_a_clip_does_not_depend_on_its_batch(
    tiny_model: LumosForCausalLM, name: str
) -> None:
    config = replace(CONFIG, **ADAPTIVE[name])
    codes, calls = generated(tiny_model, config)
    assert 0 <= int(codes.min()) <= int(codes.max()) < 50
    assert max(calls) <= 28
    assert sum(calls) < 3 * 28
    for clip in range(3):
        alone, own_calls = generated(tiny_model, config, (clip,))
        assert alone[0].equal(codes[clip])
        assert own_calls == [calls[clip]]


def test_numbers_of_calls_follow_the_settings(tiny_model: LumosForCausalLM) -> None:
    assert generated(tiny_model, replace(CONFIG, later_steps=0.25))[1] == [(4 + 1 + 1) * 2 + 4] * 3
    # no entropy is too much: one refinement a frame
    assert generated(tiny_model, replace(CONFIG, entropy_bound=1e9))[1] == [3 * 2 + 4] * 3
    # the branches always agree: the first refinement of a frame finds that out
    assert generated(tiny_model, replace(CONFIG, guidance_tolerance=1e9))[1] == [3 * (4 + 1) + 4] * 3


@pytest.mark.parametrize("num_steps", [4, 20])
def test_settings_that_accept_nothing_and_end_nothing_change_nothing(
    tiny_model: LumosForCausalLM, num_steps: int
) -> None:
    exact = replace(CONFIG, num_steps=num_steps)
    never = replace(exact, entropy_bound=1e-9, guidance_tolerance=1e-9, later_steps=1.0)
    assert generated(tiny_model, never)[0].equal(generated(tiny_model, exact)[0])


def test_sequences_that_nothing_depends_on_leave_the_batch_and_change_nothing(
    tiny_model: LumosForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, num_steps=20, entropy_bound=20.0, guidance_tolerance=0.06)  # one clip outlasts the rest
    rows: list[int] = []
    run = FrameDecoder._run
    monkeypatch.setattr(FrameDecoder, "_run", lambda *a, **k: rows.append(len(a[1])) or run(*a, **k))
    orders = list(permutations(range(3)))  # whichever clip is left over, with noise and a guidance of its own
    leaving, in_fewer_rows = [generated(tiny_model, config, order) for order in orders], sum(rows)
    assert min(rows) == 1
    rows.clear()
    monkeypatch.setattr(FrameDecoder, "narrowed", lambda self, *a, **k: self)
    for order, (codes, calls) in zip(orders, leaving, strict=True):
        staying = generated(tiny_model, config, order)
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

    monkeypatch.setattr("lumos.lumos1.sampling.frame_decoder.captured", captured)
    config = replace(CONFIG, num_steps=20, entropy_bound=20.0, guidance_tolerance=0.06)
    plain, graphed = generated(tiny_model, config), generated(tiny_model, config, graphs=True)
    assert graphed[0].equal(plain[0])
    assert graphed[1] == plain[1]
    assert {rows for rows, _ in shapes} == {3, 6}  # both branches of all clips, or one
    assert len(shapes) <= 2 * 3


def test_guidance_ends_where_the_branches_agree_clip_by_clip() -> None:
    config, weight = SamplerConfig(guidance_scale=4.0, guidance_tolerance=0.02), torch.randn(30, 5)
    guidance, num_masked = Guidance(config, 3, num_positions=4, weight=weight), (4, 4, 1)
    everyone = [True] * 3
    cond, noise = torch.randn(2, 3, 4, 5)
    uncond = cond + noise * torch.tensor([0.001, 1.0, 1.0])[:, None, None]
    uncond[2, 0] = cond[2, 0]  # they agree in all that counts
    assert guidance.sequences(everyone) == [0, 1, 2, 3, 4, 5]
    first = guidance.guided(torch.cat([cond, uncond]), sequences=range(6), num_masked=num_masked)
    torch.testing.assert_close(first, guide(cond, uncond, scale=4.0))
    assert guidance.sequences(everyone) == [0, 1, 2, 4]
    cond, uncond = torch.randn(2, 3, 4, 5)
    second = guidance.guided(torch.cat([cond, uncond[1:2]]), sequences=[0, 1, 2, 4], num_masked=num_masked)
    assert second[[0, 2]].equal(cond[[0, 2]])
    torch.testing.assert_close(second[1], guide(cond[1], uncond[1], scale=4.0))
    # what has ended never begins again; what is finished needs no sequence
    assert guidance.sequences([True, True, False]) == [0, 1, 4]
    assert guidance.sequences([True, False, True]) == [0, 2]
    third = guidance.guided(cond[[0, 2]], sequences=[0, 2], num_masked=num_masked)
    assert third[[0, 2]].equal(cond[[0, 2]])


def test_guidance_of_scale_1_is_the_branch_with_text_alone() -> None:
    guidance = Guidance(SamplerConfig(guidance_scale=1.0), 2, num_positions=3, weight=torch.randn(30, 5))
    hidden = torch.randn(2, 3, 5)
    assert guidance.sequences([True, True]) == [0, 1]
    assert guidance.guided(hidden, sequences=[0, 1], num_masked=(3, 3)).equal(hidden)


@pytest.mark.parametrize(("share", "sequences"), [(0.999, [0, 1]), (1.001, [0])])
def test_guidance_ends_at_the_mean_of_the_divergences(share: float, sequences: list[int]) -> None:
    weight, (cond, uncond) = torch.randn(30, 5), torch.randn(2, 1, 4, 5)
    config = SamplerConfig(guidance_scale=4.0, temperature=0.5)
    moved = divergence(guide(cond, uncond, scale=4.0)[0], cond[0], weight=weight, sampler=config)
    config = replace(config, guidance_tolerance=share * float(moved.sum()) / 7)  # of 7 codes 3 are decided
    guidance = Guidance(config, 1, num_positions=7, weight=weight)
    guidance.guided(torch.cat([cond, uncond]), sequences=[0, 1], num_masked=(4,))
    assert guidance.sequences([True]) == sequences


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_divergence_is_that_of_the_distributions_with_their_temperature(
    temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lumos.lumos1.sampling.logits._CHUNK_BYTES", {"cpu": 2 * 4 * 30})  # two rows at a time
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
