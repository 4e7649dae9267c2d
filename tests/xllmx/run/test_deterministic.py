"""`trainer.deterministic`: what is set, and that a run repeats itself."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from toy_task import ToyTask

from tests import stand_in_flash
from xllmx.kernels.attention import resolve_backend
from xllmx.run.deterministic import use_deterministic_kernels
from xllmx.run.reporting.metrics import read_metrics
from xllmx.trainer import Trainer, TrainerConfig


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic, torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)
    cudnn.benchmark, cudnn.deterministic, torch.utils.deterministic.fill_uninitialized_memory = before


def test_kernels_are_chosen_that_repeat_and_the_others_only_warned_of() -> None:
    use_deterministic_kernels()
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_a_workspace_that_the_user_chose_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    use_deterministic_kernels()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_training_sets_it_before_anything_else_and_repeats_itself(tmp_path: Path) -> None:
    rows = []
    for name in ("one", "again"):
        config = TrainerConfig(
            run_dir=tmp_path / name, max_steps=5, precision="fp32", device="cpu", log_every=1, progress=False,
            deterministic=True,
        )  # fmt: skip
        Trainer(ToyTask(dropout=0.3), config).fit()
        assert torch.are_deterministic_algorithms_enabled()
        rows.append([(row["loss"], row["grad_norm"]) for row in read_metrics(tmp_path / name)])
    assert len(rows[0]) == 5
    assert rows[0] == rows[1]


def test_auto_is_not_flash_attention_whose_backward_adds_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_flash.install(monkeypatch)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    where = {"device": torch.device("cuda"), "dtype": torch.bfloat16}
    assert resolve_backend("auto", **where) == "flash"
    use_deterministic_kernels()
    assert resolve_backend("auto", **where) == "sdpa"
    assert resolve_backend("flash", **where) == "flash"
