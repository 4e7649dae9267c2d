"""Windows and changes of the text: a frame is what it is in a clip that begins with the frames in its sight."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling import frame_decoder
from lumos.lumos1.sampling.decode import finished_frames, generate
from lumos.lumos1.sampling.noise import GeneratorNoise, NoiseSource
from lumos.lumos1.sampling.request import ClipRequest

GRID = (8, 4)
SAMPLER = SamplerConfig(num_steps=2, guidance_scale=3.0, confidence_temperature="per_frame", mask_given_frames=True)
WINDOWED = replace(SAMPLER, history_frames=1)
PROMPTS = [torch.tensor(ids) for ids in ([256, 70, 71], [256, 80, 81, 82, 83, 84])]
OTHERS = [torch.tensor(ids) for ids in ([256, 90, 91, 92, 93], [256, 80, 81, 82, 83, 84])]
"""Of the second clip the text is the same."""


@dataclass(frozen=True)
class Later:
    """The noise of a seed from some latent frame on."""

    source: NoiseSource
    by: int

    def draw(self, logits: Tensor, *, frame: int, step: int, positions: Tensor) -> Tensor:
        return self.source.draw(logits, frame=frame + self.by, step=step, positions=positions)

    def uniform(self, *, frame: int, step: int, num_positions: int) -> Tensor:
        return self.source.uniform(frame=frame + self.by, step=step, num_positions=num_positions)


def asked(prompts: Sequence[Tensor] = PROMPTS, *, after: int = 0, **changes: Any) -> ClipRequest:
    noise = [Later(GeneratorNoise(seed), after) for seed in range(len(prompts))]
    words = {"grid": GRID, "num_latent_frames": 5, "fps": 6, "duration": 2, "sampler": SAMPLER, "noise": noise}
    return ClipRequest(prompt_ids=prompts, **{**words, **changes})


def codes_of(model: LumosForCausalLM, request: ClipRequest) -> Tensor:
    return generate(model, request).codes


def test_a_window_makes_what_a_clip_makes_that_begins_with_its_frames(tiny_model: LumosForCausalLM) -> None:
    whole = codes_of(tiny_model, asked(sampler=WINDOWED, window_frames=3))
    given = {"num_latent_frames": 3, "given": whole[:, 2:3]}
    assert torch.equal(codes_of(tiny_model, asked(after=2, **given)), whole[:, 2:])
    assert not torch.equal(codes_of(tiny_model, asked()), whole)


def test_a_window_as_long_as_the_clip_changes_nothing(tiny_model: LumosForCausalLM) -> None:
    windowed = asked(num_latent_frames=3, sampler=WINDOWED, window_frames=3)
    assert torch.equal(codes_of(tiny_model, windowed), codes_of(tiny_model, asked(num_latent_frames=3)))


def test_positions_count_from_the_window_or_from_the_clip(
    tiny_model: LumosForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotated: list[Tensor] = []
    rotation_of = tiny_model.model.rotation_of
    monkeypatch.setattr(
        tiny_model.model, "rotation_of", lambda positions: rotated.append(positions) or rotation_of(positions)
    )
    for where in ("window", "clip"):
        sampler = replace(WINDOWED, history_positions=where, guidance_scale=1.0)
        codes_of(tiny_model, asked(PROMPTS[:1], num_latent_frames=4, sampler=sampler, window_frames=2))
    times = [positions[0, 0, 3].item() for positions in rotated if positions.shape[-1] == rotated[-1].shape[-1]]
    first, step = times[0], 4
    window, clip = [0, 1, 0, 1, 0, 1], [0, 1, 2, 3]  # of every place that is another than the last one's
    assert [(time - first) // step for time in times] == [*window, *clip]


def test_a_new_text_makes_what_it_makes_of_the_frames_so_far(tiny_model: LumosForCausalLM) -> None:
    changed = codes_of(tiny_model, asked(changes={2: OTHERS}))
    before = codes_of(tiny_model, asked())
    assert torch.equal(changed[:, :2], before[:, :2])
    assert torch.equal(changed, codes_of(tiny_model, asked(OTHERS, given=changed[:, :2])))
    assert torch.equal(changed[1], before[1])  # whose text is the same
    assert not torch.equal(changed[0], before[0])


def test_a_text_changes_within_a_window_and_across_windows(tiny_model: LumosForCausalLM) -> None:
    changed = codes_of(tiny_model, asked(sampler=WINDOWED, window_frames=3, changes={1: OTHERS, 4: PROMPTS}))
    middle = asked(OTHERS, num_latent_frames=3, given=changed[:, :1])
    assert torch.equal(codes_of(tiny_model, middle), changed[:, :3])
    last = asked(after=2, num_latent_frames=3, given=changed[:, 2:4])
    assert torch.equal(codes_of(tiny_model, last), changed[:, 2:])


def test_a_window_takes_no_more_memory_and_no_more_passes_with_every_frame(
    tiny_model: LumosForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    capacities: list[int] = []

    class Noted(frame_decoder.KVCache):
        def __init__(self, *args: Any, **words: Any) -> None:
            super().__init__(*args, **words)
            capacities.append(self.capacity)

    monkeypatch.setattr(frame_decoder, "KVCache", Noted)
    taken = []
    for num_latent_frames in (5, 9):
        capacities.clear()
        request = asked(num_latent_frames=num_latent_frames, sampler=WINDOWED, window_frames=3)
        calls = [frame.model_calls[0].item() for frame in finished_frames(tiny_model, request)]
        taken.append(max(capacities))
    assert taken[0] == taken[1]
    assert [after - before for before, after in pairwise(calls)] == [6] * 8


def test_frames_that_are_given_may_be_more_than_a_window(tiny_model: LumosForCausalLM) -> None:
    given = codes_of(tiny_model, asked())
    whole = codes_of(tiny_model, asked(num_latent_frames=6, sampler=WINDOWED, window_frames=3, given=given))
    last = asked(after=4, num_latent_frames=2, given=given[:, 4:])
    assert torch.equal(codes_of(tiny_model, last), whole[:, 4:])


def test_a_window_without_history_and_a_change_beyond_the_end_are_refused() -> None:
    with pytest.raises(ValueError, match="history_frames is None, and window_frames 3; give both, or neither"):
        asked(window_frames=3)
    with pytest.raises(ValueError, match="history_frames is 1, and window_frames None; give both"):
        asked(sampler=WINDOWED)
    with pytest.raises(ValueError, match=r"at latent frame 5; give one for each of 2 clips, at latent frames 1..4"):
        asked(changes={5: OTHERS})


def test_positions_of_the_whole_clip_are_those_that_a_window_can_take(tiny_model: LumosForCausalLM) -> None:
    with pytest.raises(ValueError, match="over max_position_embeddings=400"):
        codes_of(
            tiny_model,
            asked(num_latent_frames=12, sampler=replace(WINDOWED, history_positions="clip"), window_frames=3),
        )
