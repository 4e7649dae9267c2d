"""Steps, epochs, GPU-hours and replicas of a run follow from its shape, by hand and by the streams of a real one."""

from dataclasses import replace
from pathlib import Path

import pytest

from lumos.cli import main
from lumos.cli.training import training_run
from lumos.cli.training.estimate.dry_run import estimate_run
from lumos.cli.training.estimate.lumina_dry_run import estimate_tasks
from lumos.cli.training.estimate.run_time import best_replicas, fits, step_seconds, steps_per_epoch, time_lines
from lumos.cli.training.training_run import LuminaVideoRunConfig, load_run
from tests.lumos.cli.training.estimate.test_dry_run import MODEL_WORDS, recipe
from tests.lumos.lumina_video import latents as lumina
from tests.tiny_data import write_clips
from xllmx.data.streams import Streams
from xllmx.ranks.machines import Machines

JOINT = ["task.init_from=null", "task.model_config=configs/model/1B.yaml"]


def test_an_epoch_has_as_many_steps_as_the_streams_of_the_run(repo: Path, tmp_path: Path) -> None:
    data = {name: str(write_clips(tmp_path / name, num_latent=2)) for name in ("image", "video")}
    words = [
        *MODEL_WORDS, f"task.data={data}", "trainer.schedule={image: 1, video: 2}", "trainer.epochs=2.5",
        "trainer.batch_size={video: 2}", "trainer.epoch_stream=video",
    ]  # fmt: skip
    run = estimate_run(recipe(repo, "1B_stage_2_joint", *words))
    sizes = {name: stream.batch_size for name, stream in run.streams.items()}
    clips = {name: [0] * (stream.num_clips or 0) for name, stream in run.streams.items()}
    streams = Streams(
        {name: _Sized(rows) for name, rows in clips.items()}, batch_size=sizes, schedule=run.trainer.schedule
    )
    assert steps_per_epoch(run) == streams.steps_per_epoch("video") == 4 * 3 / 2
    assert "run           15 steps: " in "\n".join(time_lines(run, Machines()))
    run = estimate_run(recipe(repo, "1B_stage_2_joint", *words), num_gpus=16)
    assert steps_per_epoch(run) == 1 * 3 / 2  # too few for a global batch fill one


def test_too_few_clips_for_a_step_of_lumina_video_are_said(tmp_path: Path) -> None:
    lumina.write_latents(tmp_path / "few", num=3)
    task = {"data": str(tmp_path / "few"), "max_frames": 12, "micro_bsz": 4}
    config = load_run(lumina.run_config(tmp_path, trainer={"precision": "bf16"}, task={"tasks": {"fine": task}}))
    assert isinstance(config, LuminaVideoRunConfig)
    said = time_lines(estimate_tasks(config), Machines())
    assert any(
        line.startswith("too few       fine has 3 clips, and too few of one size for a batch: ") for line in said
    )
    assert "epoch         none: too few clips of fine" in said


class _Sized:
    def __init__(self, rows: list[int]) -> None:
        self.lengths = rows

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> int:
        return index


def test_a_mean_step_is_that_of_all_turns_and_gpu_hours_are_steps_times_gpus(repo: Path) -> None:
    run, machines = estimate_run(recipe(repo, "1B_stage_2_joint", *JOINT), num_gpus=8), Machines(num_gpus=8)
    flops = [run.step_flops(name) + run.redone_flops(name) for name in ("image", "video")]
    assert run.mean_flops == sum(flops) / 2
    seconds = sum(flops) / 2 / (989e12 * 0.4)
    assert step_seconds(run, machines) == pytest.approx(seconds)
    said = "\n".join(time_lines(run, machines, num_clips=8 * 1000))
    assert "global batch  image 48, video 8" in said
    assert "epoch         2,000 steps, a pass over video" in said
    hours = 100 * 2000 * seconds / 3600
    assert f"run           200,000 steps: {hours:.3g} h, {8 * hours:,.0f} GPU-hours" in said


def test_without_data_an_epoch_is_not_said_and_the_hours_are_of_a_thousand_steps(repo: Path) -> None:
    said = time_lines(estimate_run(recipe(repo, "1B_stage_2_joint", *JOINT), num_gpus=8), Machines(num_gpus=8))
    assert "epoch         not said: the data of video is not there; say how many clips: --clips N" in said
    assert said[-1].endswith("GPU-hours for every 1,000 steps")


def test_a_network_slower_than_the_products_is_what_a_step_waits_for(repo: Path) -> None:
    run = estimate_run(recipe(repo, "1B_stage_2_joint", *JOINT), num_gpus=16)
    slow = Machines(num_gpus=16, network_gb_s=1.0)
    assert step_seconds(run, slow) == slow.exchange_seconds(run.traffic) > slow.product_seconds(run.mean_flops)


def test_replicas_are_suggested_that_fit_and_exchange_least(repo: Path) -> None:
    words = ["task.init_from=null", "task.model_config=configs/model/3B.yaml"]
    run = estimate_run(recipe(repo, "3B_stage_2_joint", *words), num_gpus=16)
    machines = Machines(num_gpus=16, network_gb_s=10.0)
    assert best_replicas(run, machines) == 2  # a machine each
    assert any("parallel.replicas=2 would do: " in line for line in time_lines(run, machines))
    copied = run.in_copies(2)
    assert (copied.shards, copied.state.weights) == (8, pytest.approx(2 * run.state.weights, rel=1e-6))
    assert any("replicas      2, as sharding makes, fits" in line for line in time_lines(copied, machines))
    named = replace(copied, parallel=replace(copied.parallel, replicas=2))
    assert any("parallel.replicas=2, as configured, fits" in line for line in time_lines(named, machines))
    small = Machines(gpu="L4", num_gpus=16)
    assert not fits(copied, small)
    assert "do not fit" in time_lines(copied, small)[0]


def test_one_gpu_has_no_network_and_fp32_no_time(repo: Path) -> None:
    run = estimate_run(recipe(repo, "1B_stage_2_joint", *JOINT, "trainer.precision=fp32"))
    said = "\n".join(time_lines(run, Machines()))
    assert "network" not in said
    assert "time          not said: the peak of the H200 is known for bf16; this is fp32" in said


def test_the_command_takes_the_machines_and_refuses_their_options_without_a_dry_run(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = ["train", "--config", str(repo / "configs" / "train" / "1B_stage_2_joint.yaml")]
    words = ["--gpu", "A100", "--gpus", "16", "--utilisation", "0.5", "--network", "25", "--clips", "16000"]
    assert main([*config, "--dry-run", *words]) == 0
    said = capsys.readouterr().out
    assert "at 50% of the 312 TFLOP/s (bf16) of one A100" in said
    assert "2 machines of 8; 80% of 300 GB/s between the GPUs of one, of 25 GB/s from one to the others" in said
    assert "epoch         2,000 steps" in said
    assert list(tmp_path.iterdir()) == []
    for option in ("--gpu", "--gpus", "--utilisation", "--network", "--clips"):
        assert main([*config, option, words[words.index(option) + 1] if option in words else "1"]) == 2
        assert f"{option} is of the --dry-run" in capsys.readouterr().err
    assert main([*config, "--keys", "--gpus", "3"]) == 2
    assert "--gpus is of the --dry-run" in capsys.readouterr().err
    assert main([*config, "--dry-run", "--gpu", ""]) == 2
    assert "--gpu is ''" in capsys.readouterr().err
    assert main([*config, "--dry-run", "--clips", "0"]) == 2
    assert "--clips is 0" in capsys.readouterr().err


def test_what_takes_next_to_no_time_is_said_in_words(tmp_path: Path) -> None:
    config = load_run(lumina.run_config(tmp_path, trainer={"precision": "bf16"}))
    assert isinstance(config, LuminaVideoRunConfig)
    said = "\n".join(time_lines(estimate_tasks(config), Machines()))
    assert "mean step     under 1 ms: products under 1 ms" in said
    assert ": under a minute, under 0.01 GPU-hours" in said
    assert "e-0" not in said


def _shares_and_sizes(folder: Path) -> Path:
    """A data YAML: a third of 30 clips of one size, drawn anew by each pass, and five of another."""
    lumina.write_latents(folder / "many", num=30)
    lumina.write_latents(folder / "few", num=5, shape=(4, 4, 4))
    path = folder / "mixed.yaml"
    path.write_text("META: [{path: many, ratio: 0.34, drawn: each_epoch}, {path: few}]")
    return path


def test_an_epoch_counts_the_shares_drawn_and_the_sizes_apart_as_training_does(tmp_path: Path) -> None:
    task = {"data": str(_shares_and_sizes(tmp_path)), "max_frames": 12, "micro_bsz": 2, "global_bsz": 4}
    trainer = {"max_steps": None, "epochs": 2}
    config = load_run(lumina.run_config(tmp_path, trainer=trainer, task={"tasks": {"fine": task}}))
    assert isinstance(config, LuminaVideoRunConfig)
    shown, trained = (estimate_tasks(config, num_gpus=number) for number in (2, 1))
    assert steps_per_epoch(shown) == steps_per_epoch(trained) == 10 // 4 + 1
    assert training_run.run(config).step == 2 * 3


def test_an_epoch_of_lumos_1_counts_the_shares_drawn_and_leaves_out_clips_that_are_too_long(
    repo: Path, tmp_path: Path
) -> None:
    write_clips(tmp_path / "short", num_latent=1)
    write_clips(tmp_path / "long", num_latent=3)
    data = tmp_path / "mixed.yaml"
    data.write_text("META: [{path: short, ratio: 0.5, drawn: each_epoch}, {path: long}]")
    words = [f"task.data={{video: {data}}}", "trainer.schedule={}", "trainer.epoch_stream=null", *MODEL_WORDS]
    whole = estimate_run(recipe(repo, "1B_stage_2_joint", *words))
    longest = whole.streams["video"].longest.length
    short = estimate_run(
        recipe(repo, "1B_stage_2_joint", *words, f"task.max_length={longest - 9}", "task.too_long=drop")
    )
    assert [run.streams["video"].num_clips for run in (whole, short)] == [18, 9]
    assert [run.streams["video"].num_batches for run in (whole, short)] == [4 + 9, 4]
    with pytest.raises(ValueError, match=r"stream video: no clip of 18 is within task\.max_length=9"):
        estimate_run(recipe(repo, "1B_stage_2_joint", *words, "task.max_length=9", "task.too_long=drop"))
