"""Reports are means over counts, and trackers are asked for, not assumed."""

import builtins
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from xllmx.metrics import MetricLogger, Sums, peak_memory_bytes, read_metrics


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
