"""Sampling runs: the released numbers, the cache against a plain forward of everything, batches, streaming, errors."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lumos.lumos1.ardf import history_pattern
from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling.decode import generate, generate_codes
from lumos.lumos1.sampling.guidance import guide
from lumos.lumos1.sampling.refine import MASKED, FrameCodes, GeneratorNoise, NoiseSource, NoNoise, refine
from lumos.lumos1.sampling.request import ClipRequest, OnFrame
from lumos.lumos1.sampling.schedule import Step
from lumos.lumos1.sequence import content_positions, frame_content, frame_ids, video_header
from tests import stand_in_flash

GRID = (8, 4)
CONFIG = SamplerConfig(num_steps=3, guidance_scale=3.0)
NONE = torch.empty(0, *GRID, dtype=torch.long)
PROMPTS = [torch.tensor(ids) for ids in ([256, 70, 71], [256, 80, 81, 82, 83, 84], [256, 90, 91])]


class Injected:
    """The noise of `A_t2v_injected` (tests/golden/README.md)."""

    def draw(self, logits: Tensor, *, frame: int, step: int, positions: Tensor) -> Tensor:
        q = np.random.RandomState(50000 + 100 * frame + step).standard_exponential((96, 64000)).astype(np.float32)
        return (logits.softmax(-1) / torch.from_numpy(q)[positions]).argmax(-1)

    def uniform(self, *, frame: int, step: int, num_positions: int) -> Tensor:
        u = np.random.RandomState(70000 + 100 * frame + step).random_sample((1, num_positions))
        return torch.from_numpy(u.astype(np.float32)[0])


def generated(
    model: LumosForCausalLM, prompts: Sequence[Tensor] = PROMPTS, *, on_frame: OnFrame | None = None, **changes: object
) -> Tensor:
    arguments = {
        "grid": GRID,
        "num_latent_frames": 3,
        "fps": 6,
        "duration": 2,
        "sampler": CONFIG,
        "noise": [GeneratorNoise(seed) for seed in range(len(prompts))],
        **changes,
    }
    return generate(model, ClipRequest(prompt_ids=prompts, **arguments), on_frame=on_frame).codes


def uncached(
    model: LumosForCausalLM,
    text: Tensor,
    negative: Tensor,
    *,
    noise: NoiseSource,
    sampler: SamplerConfig,
    given: Tensor = NONE,
) -> Tensor:
    """One clip by a forward of the whole sequence at every step: the reference of the cached decoding."""
    vocab, (height, width) = model.vocab, GRID
    codes, num_frames = torch.full((3, height * width), MASKED), 3
    codes[: len(given)] = given.flatten(1)
    hide = content_positions(height, width)[history_pattern(height * (width + 1), sampler.mask_history_ratio)]
    places = frame_content(height, width)

    def frame_tokens(frame: int, *, history: bool) -> Tensor:
        ids = torch.where(codes[frame] == MASKED, vocab.mask, vocab.code_ids(codes[frame].clamp(min=0)))
        tokens = frame_ids(ids.view(height, width), vocab)
        if history and (frame >= len(given) or sampler.mask_given_frames):
            tokens[hide] = vocab.mask
        return tokens

    def hidden(before: Tensor, frame: int) -> Tensor:
        history = [frame_tokens(f, history=True) for f in range(frame)]
        sequence = torch.cat([before, *history, frame_tokens(frame, history=False)])
        return model.hidden(sequence[None], backend="mask")[:, -len(frame_tokens(frame, history=False)) :][:, places]

    for frame in range(len(given), num_frames):
        for index in range(sampler.num_steps):
            guided = guide(hidden(text, frame), hidden(negative, frame), scale=sampler.guidance_scale)
            guided = guided[codes[None, frame] == MASKED]
            at = Step(frame=frame, index=index, first=frame == len(given))
            weight = model.visual_weight
            before = FrameCodes.of(codes[None, frame])
            refined = refine(before, guided, weight=weight, noise=[noise], step=at, sampler=sampler)
            codes[frame] = refined.codes[0]
    return codes.unflatten(-1, GRID)


@pytest.mark.parametrize(("run", "noise"), [("A_t2v_greedy", NoNoise()), ("A_t2v_injected", Injected())])
def test_golden_run_token_for_token(golden: Path, golden_model: LumosForCausalLM, run: str, noise: NoiseSource) -> None:
    stored = json.loads((golden / "end_to_end.json").read_text())[run]
    codes = generate_codes(
        golden_model,
        [torch.tensor(stored["prompt_ids"])],
        grid=(8, 12),
        num_latent_frames=3,
        fps=9,
        duration=1,
        sampler=SamplerConfig(num_steps=4, guidance_scale=7.5),
        noise=[noise],
    )
    tokens = torch.tensor(stored["final_tokens_from_video_start"])
    assert codes.flatten().tolist() == golden_model.vocab.codes_of(tokens[golden_model.vocab.is_code(tokens)]).tolist()


@pytest.mark.parametrize("num_given", [0, 1, 2])
@pytest.mark.parametrize("mask_given", [False, True])
def test_cached_equals_uncached(tiny_model: LumosForCausalLM, num_given: int, mask_given: bool) -> None:
    header = video_header(tiny_model.vocab, fps=6, duration=2)
    given = torch.randint(0, 50, (3, num_given, *GRID))
    sampler = replace(CONFIG, mask_given_frames=mask_given)
    cached = generated(tiny_model, sampler=sampler, given=given if num_given else None)
    separator = torch.tensor([tiny_model.vocab.separator])
    with torch.inference_mode():
        for clip, prompt in enumerate(PROMPTS):
            text = torch.cat([prompt, separator, header])
            own = uncached(tiny_model, text, header, noise=GeneratorNoise(clip), sampler=sampler, given=given[clip])
            assert own.equal(cached[clip])


def test_negative_prompt_is_the_text_of_the_other_branch(tiny_model: LumosForCausalLM) -> None:
    header, separator = video_header(tiny_model.vocab, fps=6, duration=2), torch.tensor([tiny_model.vocab.separator])
    negative = [torch.tensor([256, 75, 76]), torch.tensor([256, 77]), torch.tensor([256, 78, 79, 74, 73])]
    cached = generated(tiny_model, negative_ids=negative)
    assert not cached.equal(generated(tiny_model))
    with torch.inference_mode():
        for clip, (prompt, other) in enumerate(zip(PROMPTS, negative, strict=True)):
            texts = [torch.cat([ids, separator, header]) for ids in (prompt, other)]
            own = uncached(tiny_model, *texts, noise=GeneratorNoise(clip), sampler=CONFIG)
            assert own.equal(cached[clip])


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
def test_a_batch_of_prompts_of_different_lengths_equals_each_alone(
    tiny_model: LumosForCausalLM, guidance_scale: float
) -> None:
    sampler = replace(CONFIG, guidance_scale=guidance_scale, confidence_temperature="per_frame", random_history=True)
    together = generated(tiny_model, sampler=sampler)
    for clip, prompt in enumerate(PROMPTS):
        alone = generated(tiny_model, [prompt], sampler=sampler, noise=[GeneratorNoise(clip)])
        assert alone[0].equal(together[clip])


def test_guidance_1_is_the_conditional_branch(tiny_model: LumosForCausalLM) -> None:
    header, separator = video_header(tiny_model.vocab, fps=6, duration=2), torch.tensor([tiny_model.vocab.separator])
    sampler = replace(CONFIG, guidance_scale=1.0)
    cached = generated(tiny_model, PROMPTS[:1], sampler=sampler)
    text = torch.cat([PROMPTS[0], separator, header])
    with torch.inference_mode():
        assert uncached(tiny_model, text, text, noise=GeneratorNoise(0), sampler=sampler).equal(cached[0])


def test_separator_may_be_there_or_not(tiny_model: LumosForCausalLM) -> None:
    with_separator = [torch.cat([ids, torch.tensor([tiny_model.vocab.separator])]) for ids in PROMPTS]
    assert generated(tiny_model, with_separator).equal(generated(tiny_model))


def test_frames_are_handed_out_as_they_are_finished(tiny_model: LumosForCausalLM) -> None:
    seen: list[tuple[int, Tensor]] = []
    given = torch.randint(0, 50, (3, 1, *GRID))
    codes = generated(tiny_model, given=given, on_frame=lambda index, frame: seen.append((index, frame.clone())))
    assert [index for index, _ in seen] == [1, 2]
    assert torch.stack([frame for _, frame in seen], dim=1).equal(codes[:, 1:])
    assert codes[:, :1].equal(given)


def test_history_ratio_and_its_kind_change_later_frames_only(tiny_model: LumosForCausalLM) -> None:
    released = generated(tiny_model)
    for changes in ({"mask_history_ratio": 0.0}, {"random_history": True}):
        other = generated(tiny_model, sampler=replace(CONFIG, **changes))
        assert other[:, 0].equal(released[:, 0])
        assert not other[:, 1:].equal(released[:, 1:])


def test_no_pass_is_made_after_the_last_frame(tiny_model: LumosForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, hidden = [], tiny_model.hidden
    monkeypatch.setattr(tiny_model, "hidden", lambda *a, **k: calls.append(1) or hidden(*a, **k))
    generated(tiny_model)
    assert len(calls) == 1 + 3 * CONFIG.num_steps + 2


def test_flash_samples_the_codes_of_sdpa(tiny_model: LumosForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of different lengths, so that there is padding."""
    calls, codes, plain = stand_in_flash.install(monkeypatch), [], generated(tiny_model)
    assert calls == []
    for backend in ("flash", "sdpa"):
        monkeypatch.setattr(tiny_model, "attention_backend", backend)
        codes.append(generated(tiny_model))
    assert set(calls) == {"flash_attn_func"}
    assert codes[0].equal(codes[1])
    assert codes[0].equal(plain)
    stand_in_flash.uninstall(monkeypatch)


def test_bf16_works(tiny_model: LumosForCausalLM) -> None:
    weights = {name: tensor.bfloat16() for name, tensor in tiny_model.state_dict().items()}
    codes = generated(LumosForCausalLM.from_weights(tiny_model.config, weights))
    assert codes.shape == (3, 3, *GRID)
    assert 0 <= int(codes.min()) <= int(codes.max()) < 50


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"given": torch.zeros(3, 1, 4, 8, dtype=torch.long)}, r"given has shape \(3, 1, 4, 8\)"),
        ({"given": torch.zeros(3, 3, *GRID, dtype=torch.long)}, "longer clip"),
        ({"given": torch.full((3, 1, *GRID), 50)}, "0..49"),
        ({"noise": [NoNoise()]}, "noise has 1 entries for 3 prompts"),
        ({"negative_ids": PROMPTS[:2]}, "negative_ids has 2 entries"),
        ({"num_latent_frames": 10}, "fewer frames"),
        ({"num_latent_frames": 0}, "num_latent_frames is 0"),
        ({"grid": (6, 4)}, "multiple of 4"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(
    tiny_model: LumosForCausalLM, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        generated(tiny_model, **changes)


def test_a_prompt_too_long_says_how_much_room_there_is(tiny_model: LumosForCausalLM) -> None:
    room = tiny_model.config.max_position_embeddings - 3 * 44
    with pytest.raises(ValueError, match=f"shorten the prompt to {room} tokens"):
        generated(tiny_model, [torch.full((room - 3,), 70)])
    assert generated(tiny_model, [torch.full((room - 4,), 70)]).shape == (1, 3, *GRID)


@pytest.mark.parametrize("changes", [{}, {"entropy_bound": 50.0}, {"later_steps": 0.34}])
def test_refinements_are_told_until_all_are_done(tiny_model: LumosForCausalLM, changes: dict[str, float]) -> None:
    seen: list[tuple[int, int]] = []
    request = ClipRequest(
        prompt_ids=PROMPTS, grid=GRID, num_latent_frames=3, fps=6, duration=2, sampler=replace(CONFIG, **changes),
        noise=[GeneratorNoise(seed) for seed in range(3)], given=torch.randint(0, 50, (3, 1, *GRID)),
    )  # fmt: skip
    generate(tiny_model, request, on_refinement=lambda number, clips: seen.append((number, clips)))
    sampler = request.sampler
    assert sum(number for number, _ in seen) == sampler.steps_of(first=True) + sampler.steps_of(first=False)
    assert {clips for _, clips in seen} == {3}
    assert (len(seen) < 6) == ("entropy_bound" in changes or "later_steps" in changes)
