"""Training of the visual tokenizer: a few steps of a tiny network, its data, its windows and its export."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from lumos.tokenizer.network import NetworkConfig
from lumos.tokenizer.task import TokenizerTask, TokenizerTaskConfig
from lumos.tokenizer.training import TokenizerRunConfig, main, run
from lumos.tokenizer.visual import VisualTokenizer
from xllmx.optimisation.optim import OptimConfig
from xllmx.rng import generator_for
from xllmx.run.whole_training import NETWORK_FILE
from xllmx.task import TrainTask
from xllmx.trainer import TrainerConfig

TINY = TokenizerTaskConfig(
    network=NetworkConfig(channels=8, multipliers=(1, 2), num_res_blocks=1, z_channels=6, levels=(7, 5, 5)),
    num_clips=40,
    num_eval_clips=4,
    size_px=32,
    num_frames=9,
    crop_px=16,
    crop_frames=5,
)


@pytest.fixture(scope="module")
def task() -> TokenizerTask:
    return TokenizerTask(TINY)


def run_config(folder: Path, *, max_steps: int, task: TokenizerTaskConfig = TINY) -> TokenizerRunConfig:
    return TokenizerRunConfig(
        trainer=TrainerConfig(
            run_dir=folder / "run",
            max_steps=max_steps,
            batch_size={"clips": 4},
            precision="fp32",
            log_every=1,
            eval_batches=1,
            progress=False,
            device="cpu",
            save_every=0,
        ),
        optim=OptimConfig(lr=3e-3, warmup_steps=2, weight_decay=0.0),
        task=task,
        export_to=folder / "visual_tokenizer",
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A folder with `run` and `visual_tokenizer`, and the metrics on held-out clips."""
    folder = tmp_path_factory.mktemp("tokenizer")
    return folder, run(run_config(folder, max_steps=40))


@pytest.fixture(scope="module")
def held_out(task: TokenizerTask) -> torch.Tensor:
    """The held-out clips in [-1, 1]."""
    clips = task.build_dataset("eval")["clips"]
    return torch.stack([clips[i][0] for i in range(4)]).float() / 127.5 - 1


def test_training_lowers_the_loss(trained: tuple[Path, dict[str, float]]) -> None:
    rows = [json.loads(line) for line in (trained[0] / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if row["kind"] == "train"]
    assert len(losses) == 40
    assert sum(losses[-8:]) < 0.7 * sum(losses[:8])


def test_the_exported_pair_has_the_quality_that_was_measured(
    trained: tuple[Path, dict[str, float]], held_out: torch.Tensor
) -> None:
    folder, metrics = trained
    tokenizer = VisualTokenizer.from_pretrained(folder / "visual_tokenizer")
    codes = tokenizer.encode(held_out)
    assert codes.shape == (4, 3, 4, 4)
    error = ((tokenizer.decode(codes).clamp(-1, 1) - held_out) / 2).square().flatten(1).mean(1)
    (psnr,) = (value for name, value in metrics.items() if name.endswith("psnr_db"))
    assert psnr == pytest.approx(float(-10 * error.log10().mean()), abs=1e-3)


def test_a_decoder_is_trained_on_for_codes_that_stay(
    trained: tuple[Path, dict[str, float]], held_out: torch.Tensor, tmp_path: Path
) -> None:
    again = replace(TINY, init_from=trained[0] / "run" / NETWORK_FILE, freeze_encoder=True)
    run(run_config(tmp_path, max_steps=3, task=again))
    before, after = (VisualTokenizer.from_pretrained(f / "visual_tokenizer") for f in (trained[0], tmp_path))
    codes = before.encode(held_out)
    assert after.encode(held_out).equal(codes)
    assert not after.decode(codes).equal(before.decode(codes))


def test_weights_to_start_from_that_are_not_there_are_named(tmp_path: Path) -> None:
    task = TokenizerTask(replace(TINY, init_from=tmp_path / "none"))
    with pytest.raises(ValueError, match=r"init_from=.*none does not exist; give the network\.safetensors"):
        task.init_weights(task.build_model(), device=torch.device("cpu"), seed=0)


def test_it_is_a_task_of_the_engine(task: TokenizerTask) -> None:
    assert isinstance(task, TrainTask)
    model = task.build_model()
    assert all(weight.is_meta for weight in model.parameters())
    assert list(task.shard_units(model)) == [model.encoder, model.decoder]


def test_weights_follow_from_the_seed_and_the_quantiser_is_whole(task: TokenizerTask) -> None:
    models = []
    for seed in (0, 0, 1):
        models.append(task.build_model())
        task.init_weights(models[-1], device=torch.device("cpu"), seed=seed)
    weights = [model.encoder.project.weight for model in models]
    assert weights[0].equal(weights[1])
    assert not weights[0].equal(weights[2])
    assert models[0].fsq.levels.tolist() == [7, 5, 5]
    assert not any(buffer.is_meta for buffer in models[0].buffers())


def test_training_and_held_out_clips_are_others(task: TokenizerTask) -> None:
    train, held_out = task.build_dataset("train")["clips"], task.build_dataset("eval")["clips"]
    assert (len(train), len(held_out)) == (40, 4)
    clips = [train[i][0] for i in range(5)]
    assert clips[0].shape == (3, 9, 32, 32)
    assert not any(clip.equal(held_out[i][0]) for clip in clips for i in range(4))
    assert task.build_dataset("train")["clips"][3][0].equal(clips[3])


def test_windows_are_parts_of_the_clips_and_follow_from_the_sample(task: TokenizerTask) -> None:
    train = task.build_dataset("train")["clips"]
    batch = task.collate([train[0], train[1]])
    prepared = task.prepare(batch, generator_for(0))
    assert prepared.inputs.shape == (2, 3, 5, 16, 16)
    assert prepared.num_targets == prepared.inputs.numel()
    assert (prepared.inputs.min() >= -1, prepared.inputs.max() <= 1) == (True, True)
    pixels = ((prepared.inputs[0] + 1) * 127.5).round()
    patches = train[0][0].float().unfold(1, 5, 4).unfold(2, 16, 1).unfold(3, 16, 1).permute(1, 2, 3, 0, 4, 5, 6)
    assert (patches == pixels).flatten(3).all(-1).any()
    again = task.prepare(task.collate([train[0], train[2]]), generator_for(0))
    assert again.inputs[0].equal(prepared.inputs[0])


def test_held_out_clips_are_seen_whole(task: TokenizerTask) -> None:
    held_out = task.build_dataset("eval")["clips"]
    assert task.prepare(task.collate([held_out[0]]), generator_for(0)).inputs.shape == (1, 3, 9, 32, 32)


def test_loss_is_the_weighted_error_of_the_pixels(task: TokenizerTask) -> None:
    """A fresh decoder paints 0, so error and quality are those of the target itself."""
    model = task.build_model()
    task.init_weights(model, device=torch.device("cpu"), seed=0)
    model.encoder.project.weight.data.zero_()  # nothing before the quantiser, so nothing out of its range
    video = torch.rand(2, 3, 5, 16, 16) - 0.5
    prepared = task.prepare((((video + 1) * 127.5).to(torch.uint8), False), generator_for(0))
    output = task.loss(model, prepared)
    target = prepared.targets
    torch.testing.assert_close(output.sum, target.square().sum() + 0.1 * target.abs().sum())
    assert output.count == target.numel()
    psnr, count = output.metrics["psnr_db"]
    per_clip = -10 * (target / 2).square().flatten(1).mean(1).log10()
    torch.testing.assert_close(psnr, per_clip.sum())
    assert count == 2


def test_values_out_of_the_range_of_the_quantiser_cost(task: TokenizerTask) -> None:
    model = task.build_model()
    task.init_weights(model, device=torch.device("cpu"), seed=0)
    model.encoder.project.weight.data.zero_()
    prepared = task.prepare((torch.full((1, 3, 5, 16, 16), 99, dtype=torch.uint8), False), generator_for(0))
    within = task.loss(model, prepared).sum
    model.encoder.project.bias.data.fill_(3.5)
    beyond = task.loss(model, prepared).sum
    torch.testing.assert_close(beyond - within, torch.tensor(0.1 * (3.5 - 1.5) ** 2 * prepared.targets.numel()))


def test_frames_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"num_frames=12 must be 1 \+ 4k"):
        TokenizerTaskConfig(num_frames=12)


def test_command_line_says_what_to_mend(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--config", str(tmp_path / "none.yaml")]) == 2
    assert f"error: settings file {tmp_path / 'none.yaml'} does not exist" in capsys.readouterr().err


def test_clips_can_be_filmed_from_photographs(tmp_path: Path):
    """Training sees windows, evaluation whole clips, of other pictures; a step learns from them."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(30):
        Image.new("RGB", (80, 70), (8 * index, 255 - 8 * index, 99)).save(pictures / f"{index}.png")
    config = replace(TINY, pictures=pictures)
    task = TokenizerTask(config)
    training, evaluation = (task.build_dataset(split)["clips"] for split in ("train", "eval"))
    assert training[0][0].shape == (3, 5, 16, 16)
    assert evaluation[0][0].shape == (3, 9, 32, 32)
    assert (len(training), len(evaluation)) == (40, 4)
    metrics = run(run_config(tmp_path, max_steps=2, task=config))
    assert metrics["clips/psnr_db"] > 3


@pytest.mark.parametrize("wrong", [{"crop_frames": 6}, {"crop_px": 20}])
def test_windows_to_be_filmed_are_of_whole_codes(tmp_path: Path, wrong: dict[str, int]):
    with pytest.raises(ValueError, match=r"1 \+ 4k and task.crop_px=.* a multiple of 8"):
        replace(TINY, pictures=tmp_path, **wrong)
