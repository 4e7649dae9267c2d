"""The training loop, on a task of a few hundred weights."""

import json
import logging
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_task import ToyData, ToyTask

from xllmx.data.broken import BrokenSampleError
from xllmx.optimisation.optim import OptimConfig
from xllmx.ranks.parallel import ParallelConfig
from xllmx.run import stopping
from xllmx.run.reporting.metrics import read_metrics
from xllmx.settings.config import load_config
from xllmx.trainer import Trainer, TrainerConfig

STREAMS = ("image", "video")


def config_of(run_dir: Path, **settings: Any) -> TrainerConfig:
    base = {
        "run_dir": run_dir,
        "max_steps": 6,
        "batch_size": {"image": 3, "video": 2},
        "schedule": {"image": 1, "video": 2},
        "device": "cpu",
        "precision": "fp32",
        "log_every": 1,
        "save_every": 0,
        "progress": False,
    }
    return TrainerConfig(**{**base, **settings})


def trainer_of(run_dir: Path, *, task: ToyTask | None = None, **settings: Any) -> Trainer:
    return Trainer(task or ToyTask(streams=STREAMS, dropout=0.2), config_of(run_dir, **settings), OptimConfig(lr=1e-2))


def weights_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def assert_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def losses_of(run_dir: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(run_dir)]


def test_six_steps_equal_three_then_stop_then_three(tmp_path: Path) -> None:
    whole = trainer_of(tmp_path / "whole", ema_decay=0.9, grad_accumulation=2)
    whole.fit()
    first = trainer_of(tmp_path / "cut", ema_decay=0.9, grad_accumulation=2)
    _stop_after(first, 3)
    second = trainer_of(tmp_path / "cut", ema_decay=0.9, grad_accumulation=2)
    assert second.step == 3
    result = second.fit()
    assert (result.step, result.stopped) == (6, None)
    assert_equal(weights_of(whole), weights_of(second))
    assert_equal(whole.ema_state(), second.ema_state())
    assert losses_of(tmp_path / "whole") == losses_of(tmp_path / "cut")


def test_resume_with_loader_workers_is_exact(tmp_path: Path) -> None:
    whole = trainer_of(tmp_path / "whole")
    whole.fit()
    _stop_after(trainer_of(tmp_path / "cut", num_workers=1), 4)
    second = trainer_of(tmp_path / "cut", num_workers=1)
    second.fit()
    assert_equal(weights_of(whole), weights_of(second))


def test_evaluation_changes_nothing_and_repeats_itself(tmp_path: Path) -> None:
    plain = trainer_of(tmp_path / "plain")
    plain.fit()
    evaluated = trainer_of(tmp_path / "evaluated", eval_every=1, eval_batches=3)
    evaluated.fit()
    assert_equal(weights_of(plain), weights_of(evaluated))
    rows = read_metrics(tmp_path / "evaluated", "eval")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert {"image/loss", "video/loss", "image/accuracy"} <= rows[0].keys()
    assert evaluated.evaluate() == evaluated.evaluate()


class Talkative(ToyTask):
    """Says something about its data while it is made ready."""

    def build_dataset(self, split: str) -> Mapping[str, ToyData]:
        logging.getLogger("task").warning("one clip is too long")
        return super().build_dataset(split)


def test_what_is_said_of_the_data_is_in_the_log(tmp_path: Path) -> None:
    trainer_of(tmp_path, task=Talkative(streams=STREAMS), max_steps=1).fit()
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [line.endswith("WARNING task: one clip is too long") for line in lines][:2] == [True, False]


@pytest.mark.parametrize("cut", [{"batch_size": {"image": 4}}, {"batch_size": {"image": 1}, "grad_accumulation": 4}])
def test_accumulation_gives_the_loss_of_the_whole_batch(tmp_path: Path, cut: dict[str, Any]) -> None:
    reference = trainer_of(tmp_path / "2x2", task=ToyTask(), schedule={}, batch_size={"image": 2}, grad_accumulation=2)
    reference.fit()
    other = trainer_of(tmp_path / "other", task=ToyTask(), schedule={}, **cut)
    other.fit()
    assert losses_of(tmp_path / "other") == pytest.approx(losses_of(tmp_path / "2x2"), rel=1e-5)
    for name, value in weights_of(reference).items():
        torch.testing.assert_close(value, weights_of(other)[name], rtol=1e-4, atol=1e-6)


def test_loss_falls(tmp_path: Path) -> None:
    trainer_of(tmp_path, max_steps=80, task=ToyTask(streams=STREAMS)).fit()
    losses = losses_of(tmp_path)
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_bf16_keeps_master_weights_in_fp32(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, precision="bf16")
    trainer.fit()
    assert {value.dtype for value in weights_of(trainer).values()} == {torch.float32}
    fp32 = trainer_of(tmp_path / "fp32")
    fp32.fit()
    assert losses_of(tmp_path) == pytest.approx(losses_of(tmp_path / "fp32"), rel=0.05)
    assert losses_of(tmp_path) != losses_of(tmp_path / "fp32")


def test_activation_checkpointing_changes_no_number_and_no_name(tmp_path: Path) -> None:
    plain = trainer_of(tmp_path / "plain")
    plain.fit()
    task = ToyTask(streams=STREAMS, dropout=0.2)
    parallel = ParallelConfig(activation_checkpointing=True)
    saved = Trainer(task, config_of(tmp_path / "saved"), OptimConfig(lr=1e-2), parallel)
    saved.fit()
    assert_equal(weights_of(plain), weights_of(saved))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs g++, which is not here")
def test_compiled_units_give_the_same_losses(tmp_path: Path) -> None:
    trainer_of(tmp_path / "plain", task=ToyTask(), batch_size={"image": 3}, schedule={}).fit()
    config = config_of(tmp_path / "compiled", batch_size={"image": 3}, schedule={})
    Trainer(ToyTask(), config, OptimConfig(lr=1e-2), ParallelConfig(compile=True)).fit()
    assert losses_of(tmp_path / "compiled") == pytest.approx(losses_of(tmp_path / "plain"), rel=1e-4)


def test_non_finite_loss_names_the_step_and_saves_nothing_more(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, task=ToyTask(streams=STREAMS, bad_step=5), save_every=2)
    with pytest.raises(ValueError, match=r"not finite at step 5 \(stream video\).*last checkpoint, of step 4"):
        trainer.fit()
    assert [path.name for path in trainer.checkpoints.valid()] == ["step-00000002", "step-00000004"]
    with pytest.raises(ValueError, match="not finite"):
        trainer.save()


def test_sigterm_saves_and_stops(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    trainer = trainer_of(tmp_path)
    _after_step(trainer, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    result = trainer.fit()
    assert (result.step, result.stopped) == (2, "SIGTERM")
    assert trainer_of(tmp_path).step == 2
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigusr1_which_slurm_sends_before_the_time_is_up_saves_and_stops(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path)
    _after_step(trainer, 2, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    result = trainer.fit()
    assert (result.step, result.stopped) == (2, "SIGUSR1")
    assert trainer_of(tmp_path).step == 2


def test_a_signal_that_comes_twice_at_once_is_one(tmp_path: Path) -> None:
    """As when a scheduler signals torchrun and its workers, and torchrun passes the signal on."""
    trainer = trainer_of(tmp_path)

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)

    _after_step(trainer, 2, twice)
    assert trainer.fit().stopped == "SIGTERM"
    assert trainer_of(tmp_path).step == 2


def test_a_second_ctrl_c_that_comes_later_acts_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "ECHO_S", 0.0)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    try:
        with stopping.StopWatch() as watch:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert watch.reason() == "SIGINT"


def test_a_stopped_run_can_go_on_in_the_same_process(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path)
    _stop_after(trainer, 2)
    assert trainer.fit().step == 6


def test_time_limit_saves_and_stops(tmp_path: Path) -> None:
    result = trainer_of(tmp_path, max_minutes=1e-6).fit()
    assert (result.step, result.stopped) == (0, "time")
    assert trainer_of(tmp_path).fit().step == 6


def test_run_folder_holds_config_environment_metrics_and_kept_checkpoints(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, save_every=1, keep=2)
    trainer.fit()
    assert load_config(TrainerConfig, tmp_path / "config.yaml") == trainer.config
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000005", "step-00000006"]
    row = read_metrics(tmp_path)[-1]
    assert {
        "loss",
        "lr",
        "grad_norm",
        "tokens_per_s",
        "step_time_s",
        "data_wait_share",
        "peak_memory_bytes",
    } <= row.keys()
    assert 0 <= row["data_wait_share"] <= 1


def test_rows_after_the_checkpoint_of_a_killed_run_are_dropped(tmp_path: Path) -> None:
    _stop_after(trainer_of(tmp_path), 2)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "step": 3, "loss": 9.0}\n{"kind": "tra')
    trainer_of(tmp_path).fit()
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_export_holds_the_averaged_weights_and_leaves_the_model(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, ema_decay=0.9)
    trainer.fit()
    own = weights_of(trainer)
    trainer.export(tmp_path / "model")
    trainer.export(tmp_path / "model")
    assert_equal(torch.load(tmp_path / "model" / "model.pt"), trainer.ema_state())
    assert_equal(own, weights_of(trainer))
    assert not torch.equal(own["head.weight"], trainer.ema_state()["head.weight"])


def test_epochs_count_the_passes_over_the_last_stream(tmp_path: Path) -> None:
    # 37 videos in batches of 2 are 18 steps of an epoch, with an image step before each two: 27
    trainer = trainer_of(tmp_path, max_steps=None, epochs=2.0)
    assert (trainer.steps_per_epoch, trainer.max_steps) == (27.0, 54)
    images = trainer_of(tmp_path, max_steps=None, epochs=0.5, epoch_stream="image")
    assert (images.steps_per_epoch, images.max_steps) == (27.0, 14)  # 29 // 3 = 9 image steps, each third step


def test_a_damaged_checkpoint_is_said_and_alone_it_stops_the_run(tmp_path: Path) -> None:
    trainer_of(tmp_path, max_steps=4, save_every=2, async_save=False).fit()
    checkpoints = tmp_path / "checkpoints"
    next((checkpoints / "step-00000004").glob("*.distcp")).write_bytes(b"cut")
    assert trainer_of(tmp_path, max_steps=4).step == 2
    assert "step-00000004 is damaged" in (tmp_path / "log.txt").read_text()
    shutil.rmtree(checkpoints / "step-00000002")
    with pytest.raises(ValueError, match=r"step-00000004 is damaged and there is no other"):
        trainer_of(tmp_path, max_steps=4)


def test_evaluations_are_counted_in_steps_or_an_epoch(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, max_steps=20, eval_in_epoch=3.0, eval_batches=1)  # every 9 of 27 steps
    trainer.fit()
    assert [row["step"] for row in read_metrics(tmp_path, "eval")] == [9, 18]
    with pytest.raises(ValueError, match=r"one of trainer\.eval_every and trainer\.eval_in_epoch"):
        config_of(tmp_path, eval_every=2, eval_in_epoch=1.0)


def test_the_log_says_where_a_run_began_went_on_and_ended(tmp_path: Path) -> None:
    for steps in (3, 4):
        trainer_of(tmp_path, max_steps=steps, save_every=2, async_save=False).fit()
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [line.partition("xllmx.run.reporting.report: ")[2] for line in lines] == [
        "begins, to step 3, on 1 process in fp32",
        "checkpoint of step 2 written",
        "checkpoint of step 3 written",
        "ended at step 3: done",
        "step-00000003 was written with other settings: max_steps: 3 -> 4",
        "goes on from step 3, to step 4, on 1 process in fp32",
        "checkpoint of step 4 written",
        "ended at step 4: done",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_steps": None}, "max_steps and trainer.epochs are both open"),
        ({"epochs": 1.0}, "max_steps is 6 and trainer.epochs is 1.0; for one alone"),
        ({"log_every": 0}, "log_every is 0"),
        ({"save_every": -1}, "save_every is -1"),
        ({"schedule": {"audio": 1}}, "names 'audio', and no stream has this name; known are image, video"),
        ({"global_batch_size": {"vidoe": 8}}, r"trainer\.global_batch_size names 'vidoe'.* mean video"),
        ({"epoch_stream": "vidoe"}, "epoch_stream names 'vidoe'.* mean video"),
        ({"batch_size": {"vido": 1}}, r"batch_size names 'vido'.* mean video\? known are image, video"),
        ({"eval_batch_size": {"vido": 1}, "eval_every": 1}, r"eval_batch_size names 'vido'.* mean video"),
        ({"ema_decay": 1.5}, "ema_decay is 1.5"),
        ({"trackers": ("tensorbord",)}, "takes tensorboard and wandb"),
        ({"device": "gpu"}, "must be auto, cpu or cuda"),
        ({"device": "cuda"}, "torch sees no GPU"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    if settings.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ValueError, match=message):
        trainer_of(tmp_path, **settings).fit()


def test_a_broken_held_out_sample_is_replaced_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer = trainer_of(tmp_path, max_broken=0.1)
    wrong = _break_one(trainer)
    with caplog.at_level("WARNING"):
        assert trainer.evaluate() == trainer.evaluate()
    assert [record.getMessage() for record in caplog.records] == [f"stream image: sample {wrong} is left out: cut"]
    strict = trainer_of(tmp_path / "strict", max_broken=0.0)
    assert _break_one(strict) == wrong
    with pytest.raises(ValueError, match=r"1 of 29 samples of stream 'image' cannot be read.*max_broken=0"):
        strict.evaluate()


def _break_one(trainer: Trainer) -> int:
    """Breaks a held-out sample of the first batch; gives its number."""
    streams = trainer._held_out.streams
    wrong = streams.orders["image"].batch(0)[1]
    streams.datasets["image"].__class__ = _WithBroken
    streams.datasets["image"].broken = wrong
    return wrong


class _WithBroken(ToyData):
    broken: int

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == self.broken:
            raise BrokenSampleError("cut")
        return super().__getitem__(index)


def test_evaluation_without_data_is_an_error_before_the_first_step(tmp_path: Path) -> None:
    task = ToyTask(streams=STREAMS)
    trainer = trainer_of(tmp_path, task=task, eval_every=1)
    task.streams = ()
    with pytest.raises(ValueError, match=r"names no data set.*eval_every=0"):
        trainer.fit()
    assert trainer.step == 0


def test_resume_false_refuses_a_folder_with_checkpoints(tmp_path: Path) -> None:
    trainer_of(tmp_path).fit()
    with pytest.raises(ValueError, match="another run_dir"):
        trainer_of(tmp_path, resume=False)


def _after_step(trainer: Trainer, step: int, act: Any) -> None:
    """Runs `act` when the step is done, as something from outside would."""
    original = trainer.train_step

    def train_step(draws: list[Any]) -> None:
        original(draws)
        if trainer.step == step:
            act()

    trainer.train_step = train_step  # type: ignore[method-assign]


def _stop_after(trainer: Trainer, step: int) -> None:
    _after_step(trainer, step, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert trainer.fit().step == step


def test_a_checkpoint_ends_every_so_many_epochs(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, max_steps=30, save_interval=0.5, keep=9)
    half = trainer.steps_per_epoch / 2
    trainer.fit()
    due = {next(step for step in range(1, 99) if step >= half * number) for number in (1, 2)}
    assert [path.name for path in trainer.checkpoints.valid()] == [f"step-{step:08d}" for step in sorted(due | {30})]
