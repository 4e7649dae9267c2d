"""A plain `lumos train` where there are several GPUs says how to use them, and only then."""

from pathlib import Path

import pytest
import torch

from lumos.cli import main
from lumos.cli.training import training_run
from lumos.cli.training.training_run import load_run, unused_gpus
from tests.tiny_data import write_clips
from xllmx.trainer import FitResult

WORDS = ["trainer.run_dir=runs/a", "trainer.max_steps=1"]


def said(monkeypatch: pytest.MonkeyPatch, *, gpus: int, words: tuple[str, ...] = ()) -> str | None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    return unused_gpus(load_run(None, [*WORDS, *words]), "--config 'my file.yaml' trainer.seed=2")


def test_eight_gpus_are_named_with_the_command_that_uses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    line = said(monkeypatch, gpus=8)
    assert line is not None
    assert line.startswith("this trains on one of the 8 GPUs here; all of them: torchrun --standalone")
    assert "--nproc-per-node 8 -m lumos.train --config 'my file.yaml' trainer.seed=2 (" in line


def test_nothing_is_said_of_one_gpu_of_none_of_the_cpu_or_under_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert [said(monkeypatch, gpus=number) for number in (0, 1)] == [None, None]
    assert said(monkeypatch, gpus=8, words=("trainer.device=cpu",)) is None
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert said(monkeypatch, gpus=8) is None


def test_the_command_says_it_before_it_trains(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: object, **named: object) -> FitResult:
        return FitResult(step=1, stopped=None, metrics={})

    monkeypatch.setattr(training_run, "unused_gpus", lambda config, words: f"GPUs: {words}")
    monkeypatch.setattr(training_run, "run", run)
    words = [*WORDS, f"trainer.run_dir={tmp_path}", f"task.data.image={write_clips(tmp_path / 'data', num_latent=1)}"]
    assert main(["train", *words]) == 0
    assert f"lumos: GPUs: {' '.join(words)}\n" in capsys.readouterr().err
