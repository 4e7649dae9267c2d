"""What a training of Lumina-Video would take follows from the config and the data."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lumos.cli import main
from lumos.cli.training.estimate.lumina_dry_run import estimate_tasks
from lumos.cli.training.training_run import LuminaVideoRunConfig, load_run
from lumos.lumina_video.cost import TEXT_TOKENS, pass_flops, training_flops
from lumos.lumina_video.scale import Scale
from tests.lumos.lumina_video.latents import VAE, run_config, write_latents, write_raw_clips
from tests.lumos.lumina_video.tiny import tiny_vae_folder


def released(repo: Path, *words: str) -> LuminaVideoRunConfig:
    config = load_run(repo / "configs/train/lumina_f8F32R256.yaml", words)
    assert isinstance(config, LuminaVideoRunConfig)
    return config


def test_the_released_recipe_is_planned_without_data_or_weights(repo: Path) -> None:
    run = estimate_tasks(released(repo), num_gpus=16)
    assert (run.num_parameters, run.trainable, run.shards) == (1_771_364_672, 1_771_364_672, 16)
    assert [(str(task.scale), task.tokens, task.accumulation) for task in run.tasks.values()] == [
        ("1x2", 256, 2), ("1x2", 2048, 2), ("2x2", 1024, 2), ("2x4", 256, 2),
    ]  # fmt: skip
    fine = training_flops(run.model, (8, 32, 32), scale=Scale(frames=1, pixels=2), text_tokens=TEXT_TOKENS)
    assert run.step_flops("videos_fine") == 16 * fine
    assert run.batch_bytes(checkpointing=True)[0] < run.batch_bytes(checkpointing=False)[0] / 5
    again = pass_flops(run.model, (8, 32, 32), scale=Scale(frames=1, pixels=2))
    assert run.redone_flops("videos_fine") == 16 * again
    halved = estimate_tasks(released(repo, "task.tasks.videos_fine.task_ratio=2"), num_gpus=16)
    assert run.mean_flops - halved.mean_flops == pytest.approx(8 * (fine + again))


def test_the_released_recipe_keeps_its_weights_gathered_in_any_number_of_copies(repo: Path) -> None:
    """It sets reshard_after_forward=false, and its four tasks add gradients up over a step."""
    run = estimate_tasks(released(repo), num_gpus=32)
    numbers, block = run.num_parameters, max(run.units.values())
    assert run.state.working == 2 * numbers + 6 * block
    assert run.in_copies(32).state.working == run.state.working
    assert run.in_copies(32).state.held == run.state.held == 4 * numbers
    let_go = estimate_tasks(released(repo, "parallel.reshard_after_forward=true"), num_gpus=32)
    assert let_go.state.working < run.state.working / 3


def test_a_released_checkpoint_that_is_not_here_is_reckoned_by_its_shape(repo: Path) -> None:
    words = ["task.architecture=null", "task.init_from=ckpts/Alpha-VLLM/Lumina-Video-f24R960"]
    assert estimate_tasks(released(repo, *words), num_gpus=16).num_parameters == 1_771_364_672
    with pytest.raises(ValueError, match="mine"):
        estimate_tasks(released(repo, words[0], "task.init_from=ckpts/mine"), num_gpus=16)


def test_data_that_are_there_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = run_config(tmp_path)
    assert main(["train", "--config", str(config), "--dry-run"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("coarse")]
    assert line.split()[:6] == ["coarse", "2x4", "6", "x", "2", "30"]
    assert "2x8x12" in line
    assert not (tmp_path / "run").exists()


def test_data_are_taken_as_training_takes_them(tmp_path: Path) -> None:
    """A list of images is none of latents; clips that a task leaves out are not counted; what it refuses is refused."""
    config = load_run(run_config(tmp_path))
    assert isinstance(config, LuminaVideoRunConfig)
    (tmp_path / "list.json").write_text('[{"path": "0.png", "prompt": "a"}, {"path": "1.png", "prompt": "b"}]')
    write_latents(tmp_path / "long", num=3, shape=(12, 4, 4))
    (tmp_path / "mixed.yaml").write_text("META: [{path: images}, {path: videos}, {path: long}]")

    def estimated(name: str, vae: str | None = None, **fields: Any) -> tuple[tuple[int, int, int], int | None]:
        tasks = {name: replace(config.task.tasks[name], **fields)}
        task = estimate_tasks(replace(config, task=replace(config.task, tasks=tasks, vae=vae))).tasks[name]
        return task.size, task.num_clips

    vae = str(tiny_vae_folder(tmp_path / "vae"))
    assert estimated("images", vae, data=str(tmp_path / "list.json"), image_size=64) == ((2, 8, 8), 2)
    raw = {"data": str(write_raw_clips(tmp_path / "raw")), "image_size": 64}
    assert estimated("fine", vae, **raw) == ((3, 4, 8), 4)
    assert estimated("coarse", vae, **raw) == ((2, 4, 8), 4)
    with pytest.raises(ValueError, match=r"task fine reads videos that are no latents yet; set task\.vae"):
        estimated("fine", **raw)
    with pytest.raises(ValueError, match=r"lists videos: set task\.tasks\.fine\.target_fps"):
        estimated("fine", vae, **raw, target_fps=None)
    assert estimated("fine", data=str(tmp_path / "mixed.yaml")) == ((3, 8, 12), 33)
    with pytest.raises(ValueError, match=r"task\.tasks\.fine: scale 1x2 .* divides none of the 30 video latents"):
        estimated("fine", max_frames=3)
    with pytest.raises(ValueError, match=r"task\.tasks\.fine: a clip has 96x64 px, more .* image_size=64"):
        estimated("fine", image_size=64)
    with pytest.raises(ValueError, match=r"frames a second, target_fps is 30; correct task\.tasks\.fine\.target_fps"):
        estimated("fine", target_fps=30.0)


def test_latents_of_another_vae_are_refused_as_in_training_held_out_ones_too(tmp_path: Path) -> None:
    config = load_run(run_config(tmp_path))
    assert isinstance(config, LuminaVideoRunConfig)
    other = replace(VAE, scale=0.5)
    fine = config.task.tasks["fine"]
    write_latents(tmp_path / "other", num=3, vae=other)
    for tasks in ({"tasks": {**config.task.tasks, "more": replace(fine, data=str(tmp_path / "other"))}},
                  {"eval_tasks": {"fine": replace(fine, data=str(tmp_path / "other"))}}):  # fmt: skip
        evaluates = replace(config.trainer, eval_every=2)
        changed = replace(config, trainer=evaluates, task=replace(config.task, **tasks))
        with pytest.raises(ValueError, match=r"other: its latents are of another VAE \(scale of the latents 0\.5"):
            estimate_tasks(changed)
        assert estimate_tasks(changed, size=(64, 64)).tasks["fine"].num_clips is None


def test_held_out_data_are_opened_only_where_the_training_evaluates(tmp_path: Path) -> None:
    config = load_run(run_config(tmp_path), ["trainer.eval_every=0"])
    assert isinstance(config, LuminaVideoRunConfig)
    raw = replace(config.task.tasks["fine"], data=str(write_raw_clips(tmp_path / "raw")), image_size=64)
    write_latents(tmp_path / "other", num=3, vae=replace(VAE, scale=0.5))
    for held_out in (raw, replace(raw, data=str(tmp_path / "other"))):
        never = replace(config, task=replace(config.task, eval_tasks={"held": held_out}))
        assert estimate_tasks(never).tasks.keys() == config.task.tasks.keys()
        with pytest.raises(ValueError, match=r"of another VAE|task held reads videos that are no latents yet"):
            estimate_tasks(replace(never, trainer=replace(config.trainer, eval_in_epoch=1.0)))


def test_what_is_assumed_of_data_to_come_is_as_the_vae_of_the_run_makes_it(tmp_path: Path) -> None:
    config = load_run(run_config(tmp_path))
    assert isinstance(config, LuminaVideoRunConfig)
    fine = replace(config.task.tasks["fine"], data="to/come", image_size=64, max_frames=16)
    named = replace(config.task, tasks={"fine": fine})
    assert estimate_tasks(replace(config, task=named)).tasks["fine"].size == (4, 8, 8)
    vae = str(tiny_vae_folder(tmp_path / "vae", num_blocks=3))
    assert estimate_tasks(replace(config, task=replace(named, vae=vae))).tasks["fine"].size == (4, 16, 16)


def test_batches_are_made_smaller_as_training_makes_them(tmp_path: Path) -> None:
    config = load_run(run_config(tmp_path), ["task.tasks.fine.global_bsz=10"])
    assert isinstance(config, LuminaVideoRunConfig)
    fine = estimate_tasks(config).tasks["fine"]
    assert (config.task.tasks["fine"].micro_bsz, fine.batch_size, fine.accumulation) == (6, 5, 2)


def test_batches_that_the_gpus_do_not_divide_are_named(repo: Path) -> None:
    with pytest.raises(ValueError, match="24 processes with batches of 8"):
        estimate_tasks(released(repo), num_gpus=24)
    with pytest.raises(ValueError, match=r"multiple of parallel\.replicas=2"):
        estimate_tasks(released(repo, "parallel.replicas=2"), num_gpus=3)
