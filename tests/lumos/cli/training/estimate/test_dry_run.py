"""The dry run: its numbers follow from the config and the data, and nothing is touched."""

import math
import re
from pathlib import Path

import pytest

from lumos.cli import main
from lumos.cli.options.spelling import read_size
from lumos.cli.training.estimate.dry_run import estimate_run, report
from lumos.cli.training.training_run import RunConfig
from lumos.lumos1.sequence import sequence_length
from lumos.lumos1.training.cost import BatchLoad, activation_bytes, recomputed_flops, training_flops
from tests.tiny_data import MODEL, VOCAB, write_clips
from xllmx.settings.config import load_config

MODEL_WORDS = [f"task.model={MODEL | {'vocab': VOCAB}}", "task.model_config=null"]


def recipe(repo: Path, name: str, *words: str) -> RunConfig:
    return load_config(RunConfig, repo / "configs" / "train" / f"{name}.yaml", words)


def test_a_released_recipe_is_planned_without_data_or_weights(repo: Path) -> None:
    estimate = estimate_run(recipe(repo, "1B_pretrain_image", "task.model_config=configs/model/1B.yaml"), num_gpus=48)
    assert sum(estimate.units.values()) == estimate.trainable == 1_503_729_664
    assert (estimate.shards, len(estimate.units)) == (48, 18)
    assert estimate.state.weights == 4 * math.ceil(1_503_729_664 / 48)
    image = estimate.streams["image"]
    assert image.longest.grid == (1, 32, 56)
    assert image.median.length == sequence_length(160, (1, 32, 56)) == 1994
    load = image.load()
    assert load.num_targets == pytest.approx(1792 * 0.80, rel=0.05)
    assert estimate.step_flops("image") == training_flops(estimate.model, load)
    assert estimate.redone_flops("image") == recomputed_flops(estimate.model, load)
    saved = estimate.peak_bytes(checkpointing=False) - estimate.peak_bytes(checkpointing=True)
    assert saved == activation_bytes(estimate.model, load, checkpointing=False) - activation_bytes(
        estimate.model, load, checkpointing=True
    )


@pytest.mark.parametrize("name", ["1B_stage_2_joint", "3B_stage_1_image", "3B_sft", "1B_lora", "3B_pretrain_joint"])
def test_a_recipe_that_starts_from_a_released_checkpoint_needs_none(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    config = recipe(repo, name)
    size = {"1B": 2048, "3B": 3072}[name[:2]]
    assert config.task.init_from is not None
    assert estimate_run(config, num_gpus=8, size=(448, 256)).model.hidden_size == size
    with pytest.raises(ValueError, match=r"runs/mine/config\.json do not exist; .*a --dry-run does with its shape"):
        estimate_run(recipe(repo, name, "task.init_from=runs/mine"), num_gpus=8)


def test_streams_have_their_batches_and_the_video_its_length(repo: Path) -> None:
    words = ["task.init_from=null", "task.model_config=configs/model/3B.yaml", "trainer.grad_accumulation=2"]
    estimate = estimate_run(recipe(repo, "3B_stage_2_joint", *words), num_gpus=8, size=(672, 384))
    assert {name: stream.longest.grid for name, stream in estimate.streams.items()} == {
        "image": (1, 48, 84),
        "video": (7, 48, 84),
    }
    image = estimate.streams["image"]
    assert estimate.step_flops("image") == 2 * training_flops(estimate.model, image.load())
    assert image.load() == BatchLoad.of(image.median, batch_size=6, masked_share=image.masked_share)
    assert "6 x 2             96 assumed" in report(estimate)


def test_data_that_is_there_is_measured(repo: Path, tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips", num_latent=4)
    words = [*MODEL_WORDS, f"task.data={{video: {clips}}}", "task.duration_s=1", "trainer.epochs=1"]
    stream = estimate_run(recipe(repo, "1B_pretrain_image", *words, "trainer.batch_size={video: 2}")).streams["video"]
    assert stream.num_clips == 9
    assert (stream.median.length, stream.longest.length) == (
        sequence_length(6, (3, 8, 4)),
        sequence_length(7, (3, 8, 4)),
    )


def test_data_that_cannot_be_read_is_said_not_assumed(repo: Path, tmp_path: Path) -> None:
    data = tmp_path / "video.yaml"
    words = [*MODEL_WORDS, f"task.data={{video: {data}}}", "trainer.batch_size={video: 2}"]
    data.write_text("META: [{path: not-made-yet}]")
    assert estimate_run(recipe(repo, "1B_pretrain_image", *words)).streams["video"].num_clips is None
    data.write_text("META: [{paht: not-made-yet}]")
    with pytest.raises(ValueError, match="has no path"):
        estimate_run(recipe(repo, "1B_pretrain_image", *words))


def test_replicas_are_copies_of_the_state(repo: Path) -> None:
    estimate = estimate_run(recipe(repo, "1B_pretrain_image", *MODEL_WORDS, "parallel.replicas=2"), num_gpus=6)
    assert estimate.shards == 3
    assert "6: 2 copies of the state in 3 shards (hybrid, HSDP)" in report(estimate)
    by_itself = estimate_run(recipe(repo, "1B_pretrain_image", *MODEL_WORDS), num_gpus=6, gpus_per_machine=3)
    assert (by_itself.shards, by_itself.replicas) == (3, 2)
    whole = estimate_run(recipe(repo, "1B_pretrain_image", *MODEL_WORDS, "parallel.sharding=none"), num_gpus=6)
    assert whole.shards == 1
    assert whole.state.optimizer == 8 * whole.trainable
    with pytest.raises(ValueError, match=r"--gpus 5 must be a positive multiple of parallel\.replicas=2"):
        estimate_run(recipe(repo, "1B_pretrain_image", *MODEL_WORDS, "parallel.replicas=2"), num_gpus=5)


def test_precision_auto_is_bf16_for_gpus(repo: Path) -> None:
    plans = [
        estimate_run(recipe(repo, "1B_pretrain_image", *MODEL_WORDS, f"trainer.precision={p}"))
        for p in ("auto", "bf16")
    ]
    assert [plan.precision for plan in plans] == ["bf16", "bf16"]
    assert plans[0].state == plans[1].state


def test_a_global_batch_is_cut_among_the_gpus(repo: Path) -> None:
    words = [*MODEL_WORDS, "trainer.batch_size={image: 2}", "trainer.global_batch_size={image: 24}"]
    streams = [estimate_run(recipe(repo, "1B_pretrain_image", *words), num_gpus=num).streams for num in (2, 4)]
    assert [stream["image"].accumulation for stream in streams] == [6, 3]
    with pytest.raises(ValueError, match="5 processes with batches of 2"):
        estimate_run(recipe(repo, "1B_pretrain_image", *words), num_gpus=5)


def test_an_offloaded_state_lies_in_the_host(repo: Path) -> None:
    words = [*MODEL_WORDS, "parallel.activation_checkpointing=selective"]
    gpu, host = (
        estimate_run(recipe(repo, "1B_pretrain_image", *words, f"parallel.cpu_offload={flag}"), num_gpus=4)
        for flag in ("false", "true")
    )
    kept = gpu.state.weights + gpu.state.optimizer + gpu.state.gradients + gpu.state.average
    assert (gpu.host_bytes, host.host_bytes) == (0, kept)
    assert gpu.peak_bytes(checkpointing=False) - host.peak_bytes(checkpointing=False) == kept
    assert ["AdamW" in report(estimate) for estimate in (gpu, host)] == [True, False]
    assert ["in the host" in report(estimate) for estimate in (gpu, host)] == [False, True]
    assert "this config: selective, in between" in report(gpu)
    assert gpu.redone_flops("image") == 0


def test_an_engine_whose_memory_is_not_known_is_refused(repo: Path) -> None:
    with pytest.raises(ValueError, match=r"parallel\.engine is deepspeed, whose memory the dry run does not know"):
        estimate_run(recipe(repo, "1B_pretrain_image", *MODEL_WORDS, "parallel.engine=deepspeed"), num_gpus=4)


def test_the_command_touches_nothing(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = str(repo / "configs" / "train" / "1B_pretrain_image.yaml")
    assert main(["train", "--config", config, *MODEL_WORDS, "--dry-run", "--gpus", "48", "--size", "96x64"]) == 0
    assert "image                   1             48 assumed" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert main(["train", "--config", config, *MODEL_WORDS, "--dry-run", "--size", "big"]) == 2
    assert "--size is 'big'; write width x height" in capsys.readouterr().err


def test_the_notes_on_many_gpus_are_the_dry_runs_numbers(repo: Path) -> None:
    rows = re.findall(
        r"^\| (.B) (\d+x\d+) \| ([\d,]+) \| (\d+) \|(.*)\|$", (repo / "exps" / "README.md").read_text(), re.M
    )
    assert len(rows) == 9
    for model, size, tokens, gpus, numbers in rows:
        words = ["task.init_from=null", f"task.model_config={repo / 'configs' / 'model' / f'{model}.yaml'}"]
        estimate = estimate_run(
            recipe(repo, f"{model}_stage_2_joint", *words), num_gpus=int(gpus), size=read_size(size, setting="size")
        )
        kept, inputs = (estimate.batch_bytes(checkpointing=flag) for flag in (False, True))
        peaks = [estimate.peak_bytes(checkpointing=flag) for flag in (False, True)]
        expected = [estimate.state.total, kept[0], inputs[0], inputs[1], *peaks]
        assert [float(number) for number in numbers.split("|")] == [round(n / 2**30, 1) for n in expected], (
            model,
            size,
        )
        assert int(tokens.replace(",", "")) == estimate.streams["video"].longest.length


def test_memory_counts_gradients_held_over_accumulation_and_over_streams_that_go_together(repo: Path) -> None:
    words, accumulated = [*MODEL_WORDS], "trainer.grad_accumulation=2"
    one = estimate_run(recipe(repo, "1B_pretrain_image", *words, "trainer.grad_accumulation=1"), num_gpus=4)
    two = estimate_run(recipe(repo, "1B_pretrain_image", *words, accumulated), num_gpus=4)
    assert (one.state.held, two.state.held) == (0, 4 * one.trainable)
    assert two.peak_bytes(checkpointing=True) == one.peak_bytes(checkpointing=True) + 4 * one.trainable
    assert "gradients held over a step" in report(two)
    assert "gradients held over a step" not in report(one)
    together = ["trainer.schedule={}", "trainer.together={image: 1, video: 1}", "task.data={image: a, video: b}"]
    both = estimate_run(recipe(repo, "1B_pretrain_image", *words, "trainer.grad_accumulation=1", *together), num_gpus=4)
    assert both.state.held == 4 * both.trainable
