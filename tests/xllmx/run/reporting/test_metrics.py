"""Reports are means over counts, and trackers are asked for, not assumed."""

import builtins
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xllmx.run.reporting.metrics import MetricLogger, Sums, peak_memory_bytes, read_metrics, throughput


def test_means_are_over_counts_and_start_again() -> None:
    sums = Sums(torch.device("cpu"))
    sums.add("loss", torch.tensor(6.0), 2)
    sums.add("loss", torch.tensor(3.0), torch.tensor(1))
    sums.add("norm", 5)
    sums.add("nothing", 0.0, 0)
    assert sums.means() == {"loss": 3.0, "norm": 5.0}
    assert sums.means() == {}


def test_rows_are_read_back_by_kind(tmp_path: Path) -> None:
    logger = MetricLogger(tmp_path)
    logger.write("train", 1, {"loss": 0.5})
    logger.write("eval", 1, {"loss": 0.75})
    assert read_metrics(tmp_path) == [{"kind": "train", "step": 1, "loss": 0.5}]
    assert read_metrics(tmp_path, "eval") == [{"kind": "eval", "step": 1, "loss": 0.75}]


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_tracker_is_one_clear_error(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(module: str, *rest: Any) -> Any:
        if module in ("wandb", "torch.utils.tensorboard"):
            raise ImportError(module)
        return real(module, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ValueError, match=f"{name} is not installed; pip install"):
        MetricLogger(tmp_path, trackers=[name])


def test_nothing_optional_is_imported_before_it_is_asked_for() -> None:
    assert "wandb" not in sys.modules


def test_memory_is_counted_in_bytes() -> None:
    assert 50 * 2**20 < peak_memory_bytes(torch.device("cpu")) < 2**40


def test_mfu_is_the_part_of_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert throughput(3e12, 2.0, cpu) == {"tflops_per_s": 1.5}
    assert throughput(0, 2.0, cpu) == {}
    monkeypatch.setattr("xllmx.run.reporting.metrics.device_peak_flops", lambda device: 6e12)
    assert throughput(3e12, 2.0, cpu) == {"tflops_per_s": 1.5, "mfu": 0.25}


class Recorder:
    """Stands for either library: keeps the calls."""

    def __init__(self, *args: Any, starting_step: int = 0, **options: Any) -> None:
        self.args, self.options, self.calls, self.starting_step = args, options, [], starting_step

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: self.calls.append((name, args, options))


def test_trackers_get_the_numbers_and_the_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board, run = Recorder(), Recorder()
    begun: list[dict[str, Any]] = []
    wandb = types.SimpleNamespace(
        init=lambda **options: begun.append(options) or run,
        Image=lambda path: ("image", path),
        Video=lambda path: ("video", path),
    )
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setitem(
        sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=lambda folder, purge_step: board)
    )
    logger = MetricLogger(tmp_path, trackers=["tensorboard", "wandb"])
    MetricLogger(tmp_path, step=4, trackers=["wandb"])
    assert [options["resume"] for options in begun] == ["allow", "allow"]
    assert begun[0]["id"] == begun[1]["id"]
    logger.write("train", 4, {"loss": 0.5})
    frames = np.arange(3 * 4 * 5 * 3, dtype=np.uint8).reshape(3, 4, 5, 3)
    logger.show(4, {tmp_path / "a.mp4": frames, tmp_path / "b.png": frames[:1]})
    assert board.calls[0] == ("add_scalar", ("train/loss", 0.5, 4), {})
    strips = [args for name, args, _ in board.calls if name == "add_image"]
    assert [(name, strip.shape, step) for name, strip, step in strips] == [
        ("samples/a", (4, 15, 3), 4),
        ("samples/b", (4, 5, 3), 4),
    ]
    assert (strips[0][1][:, 5:10] == frames[1]).all()
    assert [(args[0], options) for _, args, options in run.calls] == [
        ({"train/loss": 0.5}, {"step": 4}),
        ({"samples/a": ("video", str(tmp_path / "a.mp4"))}, {"step": 4}),
        ({"samples/b": ("image", str(tmp_path / "b.png"))}, {"step": 4}),
    ]


def test_steps_that_are_done_again_after_a_checkpoint_are_shown_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards: list[Recorder] = []
    runs: list[Recorder] = []
    begun: list[str] = []

    def board(*args: Any, **options: Any) -> Recorder:
        boards.append(Recorder(*args, **options))
        return boards[-1]

    def init(*, id: str, **options: Any) -> Recorder:
        begun.append(id)
        runs.append(Recorder(starting_step=8 if begun.count(id) > 1 else 0))  # it was shown up to step 7
        return runs[-1]

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=board))
    for step in (0, 5, 0):  # begun, gone on from step 5, begun anew
        logger = MetricLogger(tmp_path, step=step, trackers=["tensorboard", "wandb"])
        for number in range(step + 1, step + 5):
            logger.write("train", number, {"loss": number})
    assert [one.options["purge_step"] for one in boards] == [1, 6, 1]
    assert [[options["step"] for _, _, options in run.calls] for run in runs] == [[1, 2, 3, 4], [8, 9], [1, 2, 3, 4]]
    assert begun[0] == begun[1] != begun[2]


class Failing(Recorder):
    """A library whose disk is full, whose writer is closed, or whose server is away."""

    def __getattr__(self, name: str) -> Any:
        def fail(*args: Any, **options: Any) -> None:
            raise self.options["error"]

        return fail


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ConnectionError("away"), KeyError("odd")])
def test_a_tracker_that_fails_is_said_once_and_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    broken, run = Failing(error=error), Recorder()
    board = types.SimpleNamespace(SummaryWriter=lambda folder, purge_step: broken)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    wandb = types.SimpleNamespace(init=lambda **options: run, Video=lambda path: path)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    logger = MetricLogger(tmp_path, trackers=["tensorboard", "wandb"])
    for step in (1, 2):
        logger.write("train", step, {"loss": 0.5})
        logger.show(step, {tmp_path / "a.mp4": np.zeros((2, 4, 5, 3), np.uint8)})
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2]
    assert len(run.calls) == 4  # the other one is told all
    (said,) = caplog.messages
    assert said.startswith(f"tracker tensorboard cannot be written to ({type(error).__name__}: ")
    assert "the training goes on" in said


def test_a_tracker_that_cannot_be_opened_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**options: Any) -> None:
        raise ConnectionError("no route")

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=away))
    with pytest.raises(ValueError, match=r"tracker wandb cannot be opened \(ConnectionError: no route\); .*offline"):
        MetricLogger(tmp_path, trackers=["wandb"])
