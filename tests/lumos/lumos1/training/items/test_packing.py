"""Packed samples give the losses and gradients they give alone, in fewer tokens."""

from pathlib import Path

import pytest
import torch

from lumos.cli.training.training_run import RunConfig, run
from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sequence import sequence_of
from lumos.lumos1.training.items.masked_batch import masked_batch
from lumos.lumos1.training.items.packing import first_fit, pack_batch
from lumos.lumos1.training.items.samples import MaskedSample, Sample
from lumos.lumos1.training.task import LumosTask, LumosTaskConfig
from tests.tiny_data import MODEL, VOCAB, make_clip, write_clips
from xllmx.rng import generator_at
from xllmx.run.reporting.metrics import read_metrics
from xllmx.settings.config import load_config


def samples(*shapes: tuple[int, int]) -> list[Sample]:
    """Clips of (latent frames, prompt ids); every other one loses its text."""
    return [
        Sample(clip=make_clip(i, frames, prompt_length=ids), modes=("text_to_video",), cfg_drop=float(i % 2))
        for i, (frames, ids) in enumerate(shapes)
    ]


def test_first_fit_is_the_drawing() -> None:
    assert first_fit([5, 3, 4, 2], 8) == [[0, 1], [2, 3]]
    assert first_fit([5, 9, 3], 8) == [[0, 2], [1]]


@pytest.mark.parametrize(
    ("row_length", "num_rows", "text"), [(1000, 1, 0.0), (300, 2, 0.0), (100, 4, 0.0), (300, 2, 0.5)]
)
def test_packed_is_as_alone(
    tiny_config: LumosConfig, tiny_model: LumosForCausalLM, row_length: int, num_rows: int, text: float
) -> None:
    batch = samples((1, 5), (4, 9), (1, 7), (3, 6))
    settings = LumosTaskConfig(model=tiny_config.to_dict(), packing=row_length, next_token_weight=text)
    task = LumosTask(settings)
    prepared = task.prepare(batch, generator_at(7, 3))
    alone = [task.prepare([one], generator_at(7, 3, slot=slot)) for slot, one in enumerate(batch)]
    assert len(prepared.inputs["input_ids"]) == num_rows
    assert prepared.num_targets == sum(one.num_targets for one in alone)
    assert prepared.num_tokens == sum(one.num_tokens for one in alone)
    assert prepared.flops == pytest.approx(sum(one.flops for one in alone), rel=0.01 if text else 0)
    parameters = list(tiny_model.parameters())
    output = task.loss(tiny_model, prepared)
    parts = [task.loss(tiny_model, one) for one in alone]
    torch.testing.assert_close(output.sum, sum(part.sum for part in parts))
    for frame in range(4):
        expected = sum(float(part.metrics.get(f"frame_{frame}", (0, 0))[0]) for part in parts)
        assert float(output.metrics[f"frame_{frame}"][0]) == pytest.approx(expected, rel=1e-5)
    gradients = torch.autograd.grad(output.sum, parameters)
    wanted = torch.autograd.grad(sum(part.sum for part in parts), parameters)
    for gradient, expected_gradient in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-3, atol=1e-4)


def test_a_change_in_one_sample_leaves_the_others_bit_for_bit(
    tiny_config: LumosConfig, tiny_model: LumosForCausalLM
) -> None:
    vocab = tiny_config.vocabulary
    first, second, other = (
        sequence_of(torch.arange(256, 251, -1), torch.full((2, 8, 4), code), vocab=vocab, fps=6, duration=2)[None]
        for code in (3, 9, 11)
    )
    no_mask = torch.zeros(1, 2, 40, dtype=torch.bool)
    with torch.no_grad():
        hidden = []
        for neighbour in (second, other):
            rows = [MaskedSample(ids=ids, masked=no_mask) for ids in (neighbour, first, neighbour)]
            alone = [masked_batch(row, vocab=vocab) for row in rows]
            inputs = pack_batch(alone, 1000, vocab=vocab).inputs
            own = slice(neighbour.shape[1], neighbour.shape[1] + first.shape[1])
            states = tiny_model.hidden(inputs["input_ids"], positions=inputs["positions"], blocks=inputs["blocks"])
            hidden.append(states[:, own])
    assert hidden[0].equal(hidden[1])


def test_a_run_reports_the_padding_it_saved(tmp_path: Path) -> None:
    data = write_clips(tmp_path / "clips", num_latent=1)
    words = [
        f"trainer={{run_dir: {tmp_path / 'run'}, max_steps: 2, batch_size: {{image: 4}}, device: cpu, log_every: 1}}",
        f"task={{data: {{image: {data}}}, packing: 400, model: {MODEL | {'vocab': VOCAB}}}}",
        "trainer.progress=false",
    ]
    run(load_config(RunConfig, None, words))
    rows = read_metrics(tmp_path / "run")
    lengths = [5 + index % 3 for index in range(9)]
    assert len(rows) == 2
    assert all(0 < row["image/padding_saved"] < (max(lengths) - min(lengths)) / 50 for row in rows)
