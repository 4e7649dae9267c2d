"""Clips as training samples: the released edits, modes, left padding, and noise that no batch changes."""

import dataclasses
import hashlib
import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lumos.lumos1.config import ARDFConfig, LumosConfig
from lumos.lumos1.data.clips import read_released
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sequence import Clip, frame_index_of
from lumos.lumos1.training.items.cutting import cut_clip
from lumos.lumos1.training.items.masked_batch import masked_batch, next_in_text, pad_batch
from lumos.lumos1.training.items.samples import Sample, chosen_mode, draw_sample, drop_text, given_frames
from lumos.lumos1.training.task import LumosTask, LumosTaskConfig
from lumos.tokenizer.vocab import Vocab
from xllmx.rng import generator_at
from xllmx.task import Prepared


def clip(index: int = 0, *, frames: int = 4, prompt_length: int = 6, grid: tuple[int, int] = (8, 4)) -> Clip:
    rng = np.random.default_rng(index)
    return Clip(
        prompt_ids=np.array([256, *rng.integers(65, 90, prompt_length - 3), 313, 314], dtype=np.int32),
        caption="",
        codes=rng.integers(0, 50, (frames, *grid)).astype(np.uint16),
        fps=6,
        duration=2,
        source=str(index),
    )


def sample(clip: Clip, *modes: str, cfg_drop: float = 0.0) -> Sample:
    return Sample(clip=clip, modes=modes or ("text_to_video",), cfg_drop=cfg_drop)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def vocab(tiny_config: LumosConfig) -> Vocab:
    return tiny_config.vocabulary


@pytest.fixture
def task(tiny_config: LumosConfig) -> LumosTask:
    return LumosTask(LumosTaskConfig(model=tiny_config.to_dict()))


def sha256(ids: Tensor) -> str:
    return hashlib.sha256(ids.numpy().astype(np.int32).tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("shard", "run", "duration_s"),
    [
        ("video_0.pkl", "video_t2v_2s test_video/1-in-1/files/0.pkl", 2),
        ("video_0.pkl", "video_t2v_7s test_video/1-in-1/files/0.pkl", 7),
        ("image_0.pkl", "image_stage1", None),
        ("image_0.pkl", "image_joint", 2),
    ],
)
def test_released_shards_are_edited_as_released(
    golden: Path, shared_data: Path, shard: str, run: str, duration_s: int | None
) -> None:
    stored = json.loads((golden / "data_utils.json").read_text())["train_data_pipeline"][run]
    vocab = Vocab()
    released = cut_clip(read_released(shared_data / "released_shards" / shard, vocab), duration_s)
    for cfg_drop, stage in ((0.0, "3_after_update"), (1.0, "4_cfg_text_only")):
        drawn = draw_sample(sample(released, cfg_drop=cfg_drop), vocab, ardf=ARDFConfig(), generator=seeded())
        assert len(drawn.ids) == stored[stage]["len_ex"]
        assert sha256(drawn.ids) == stored[stage]["ex_sha"]
    assert len(drawn.masked) == stored["3_after_update"]["n_frames_ex"]


@pytest.mark.parametrize("mode", ["text_to_video", "video_next_frame", "video_prediction_0.3", "video_prediction_0.9"])
def test_given_frames_are_neither_masked_nor_predicted(task: LumosTask, vocab: Vocab, mode: str) -> None:
    counts = set()
    for seed in range(40):
        prepared = task.prepare([sample(clip(), mode)], seeded(seed))
        ids = prepared.inputs["input_ids"]
        frames = frame_index_of(ids, vocab)
        masked = set(frames[ids == vocab.mask].tolist())
        assert masked == set(prepared.inputs["frames"].tolist()) == set(range(min(masked), 4))
        counts.add(min(masked))
    expected = {"text_to_video": {0}, "video_next_frame": {1, 2, 3}, "video_prediction_0.3": {1}}
    assert counts == expected.get(mode, {3})


def test_an_image_has_no_given_frame() -> None:
    for mode in ("text_to_video", "video_next_frame", "video_prediction_0.9"):
        assert given_frames(mode, 1, 0.999) == 0


def test_modes_are_drawn_alike_often(task: LumosTask) -> None:
    both = [sample(clip(), "text_to_video", "video_prediction_0.5")] * 400
    frames = [task.prepare(both[:1], seeded(seed)).inputs["frames"].min().item() for seed in range(400)]
    assert set(frames) == {0, 2}
    assert frames.count(0) == pytest.approx(200, abs=45)


def test_text_to_video_is_drawn_as_often_as_asked_and_the_others_alike(tiny_config: LumosConfig) -> None:
    ardf = ARDFConfig(text_to_video_prob=0.7)
    task = LumosTask(LumosTaskConfig(model=tiny_config.to_dict(), ardf=dataclasses.replace(ardf)))
    three = [sample(clip(), "video_prediction_0.25", "text_to_video", "video_prediction_0.5")]
    given = [task.prepare(three, seeded(seed)).inputs["frames"].min().item() for seed in range(400)]
    assert [given.count(frames) for frames in range(3)] == pytest.approx([280, 60, 60], abs=30)
    assert chosen_mode(("text_to_video",), 0.9, text_to_video_prob=0.1) == "text_to_video"
    assert chosen_mode(("text_to_video", "video_next_frame"), 0.99, text_to_video_prob=1.0) == "text_to_video"


def prepared_with(tiny_config: LumosConfig, mode: str = "text_to_video", **ardf: object) -> tuple[Prepared, Prepared]:
    """A batch under the settings and, drawn alike, under the released ones."""
    batch = [sample(clip(0), mode), sample(clip(1, frames=2, prompt_length=9, grid=(4, 12)), mode)]
    tasks = [LumosTaskConfig(model=tiny_config.to_dict(), ardf=ARDFConfig(**one)) for one in (ardf, {})]
    first, second = (LumosTask(config).prepare(batch, generator_at(3, 1)) for config in tasks)
    return first, second


def test_random_replace_hides_the_same_codes_behind_random_ones(tiny_config: LumosConfig, vocab: Vocab) -> None:
    replaced, masked = prepared_with(tiny_config, noise_type="random_replace")
    ids, hidden = replaced.inputs["input_ids"], masked.inputs["input_ids"] == vocab.mask
    assert not (ids == vocab.mask).any()
    assert replaced.inputs["scored"].equal(masked.inputs["scored"])
    assert replaced.targets.equal(masked.targets)
    noise = ids.flatten()[replaced.inputs["scored"]]
    assert vocab.is_code(noise).all()
    assert (vocab.codes_of(noise) == replaced.targets).float().mean() == pytest.approx(1 / 50, abs=0.05)
    assert ids[~hidden].equal(masked.inputs["input_ids"][~hidden])
    row_ends = torch.full_like(ids, 0).flatten().index_fill(0, replaced.inputs["scored"], 1).view_as(ids) == 0
    assert (ids[hidden & row_ends] == vocab.row_end).all()


@pytest.mark.parametrize(("mode", "given"), [("text_to_video", 0), ("video_prediction_0.5", 2)])
def test_all_codes_of_frames_that_are_not_given_are_predicted(
    tiny_config: LumosConfig, vocab: Vocab, mode: str, given: int
) -> None:
    everything, masked = prepared_with(tiny_config, mode, predict_all_tokens=True)
    assert everything.inputs["input_ids"].equal(masked.inputs["input_ids"])
    first, second = (
        clip(0).codes[given:].flatten(),
        clip(1, frames=2, prompt_length=9, grid=(4, 12)).codes[given // 2 :].flatten(),
    )
    assert everything.targets.tolist() == [*first.tolist(), *second.tolist()]
    assert everything.num_targets > masked.num_targets


def test_next_in_text_is_the_drawing(vocab: Vocab) -> None:
    ids = torch.tensor([[257, 257, 256, 70, 71, 261, 264, 268, 272, 260], [264, 268, 272, 260, 1, 2, 3, 4, 5, 6]])
    assert next_in_text(ids, vocab).int().tolist() == [[0, 0, 1, 1, 1, 0, 0, 0, 0, 0], [0] * 10]


def test_text_is_dropped_as_often_as_asked_and_positions_count_from_the_start(task: LumosTask, vocab: Vocab) -> None:
    prepared = task.prepare([sample(clip(), cfg_drop=0.3)] * 400, seeded())
    dropped = prepared.inputs["input_ids"][:, 0] == vocab.pad
    assert int(dropped.sum()) == pytest.approx(120, abs=35)
    start = prepared.inputs["input_ids"] == vocab.video_start
    positions = prepared.inputs["positions"][:, 0][start]
    assert set(positions[dropped].tolist()) == {0}
    assert set(positions[~dropped].tolist()) == {len(clip().prompt_ids) + 1 + 1}  # frames = 12 has two digits


def test_drop_text_keeps_everything_from_the_video_start(vocab: Vocab) -> None:
    ids = torch.tensor([256, 70, 261, 264, 1, 2])
    assert drop_text(ids, vocab).tolist() == [264, 1, 2]


def test_targets_are_the_codes_at_masked_codes_and_row_ends_carry_no_loss(task: LumosTask, vocab: Vocab) -> None:
    own = clip()
    prepared = task.prepare([sample(own)], seeded())
    inputs = prepared.inputs
    at_scored = inputs["input_ids"].flatten()[inputs["scored"]]
    assert (at_scored == vocab.mask).all()
    num_masked = int((inputs["input_ids"] == vocab.mask).sum())
    row_ends = 4 * 8 - int((inputs["input_ids"] == vocab.row_end).sum())
    assert row_ends > 0
    assert prepared.num_targets == len(prepared.targets) == num_masked - row_ends
    drawn = draw_sample(sample(own), vocab, ardf=ARDFConfig(), generator=seeded())
    all_masked = dataclasses.replace(drawn, masked=torch.ones_like(drawn.masked))
    everything = masked_batch(pad_batch([all_masked], vocab), vocab=vocab)
    assert everything.targets.tolist() == own.codes.flatten().tolist()


def test_frames_of_one_grid_share_their_columns(task: LumosTask, vocab: Vocab) -> None:
    batch = [sample(clip(0, prompt_length=4)), sample(clip(1, prompt_length=9)), sample(clip(2, prompt_length=6))]
    prepared = task.prepare(batch, seeded())
    frames = frame_index_of(prepared.inputs["input_ids"], vocab)
    assert (frames == frames[0]).all()
    assert prepared.inputs["input_ids"][1, 0] == 256
    assert (prepared.inputs["input_ids"][0, :5] == vocab.pad).all()


def test_a_batch_has_the_loss_of_its_samples(task: LumosTask, tiny_model: LumosForCausalLM) -> None:
    batch = [
        sample(clip(0, prompt_length=4)),
        sample(clip(1, frames=2, prompt_length=9), cfg_drop=1.0),
        sample(clip(2, frames=1, grid=(4, 12)), "video_next_frame"),
    ]
    with torch.no_grad():
        together = task.prepare(batch, generator_at(7, 3))
        loss = task.loss(tiny_model, together)
        alone = [task.prepare([own], generator_at(7, 3, slot=slot)) for slot, own in enumerate(batch)]
        parts = [task.loss(tiny_model, prepared) for prepared in alone]
    assert together.num_targets == sum(prepared.num_targets for prepared in alone)
    assert together.targets.tolist() == torch.cat([prepared.targets for prepared in alone]).tolist()
    torch.testing.assert_close(loss.sum, torch.stack([part.sum for part in parts]).sum())
    for name in ("frame_0", "frame_1", "frame_3"):
        total = sum(float(part.metrics.get(name, (0, 0))[0]) for part in parts)
        assert float(loss.metrics[name][0]) == pytest.approx(total, rel=1e-5)


def test_noise_follows_from_the_generator(task: LumosTask) -> None:
    batch = [sample(clip(index)) for index in range(3)]
    first, again, other = (task.prepare(batch, generator_at(0, step)).inputs["input_ids"] for step in (1, 1, 2))
    assert first.equal(again)
    assert not first.equal(other)


def test_hundreds_of_samples_are_prepared_in_a_second(task: LumosTask) -> None:
    batch = [sample(clip(index)) for index in range(64)]
    task.prepare(batch, seeded())
    start = time.process_time()
    task.prepare(batch, seeded())
    assert 64 / (time.process_time() - start) > 300
