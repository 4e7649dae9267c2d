"""Two real processes train as one does."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy_task import ToyTask

from xllmx.checkpoints.checkpoint import CheckpointManager
from xllmx.optim import OptimConfig
from xllmx.ranks.distributed import all_reduce_sum, any_rank, gather_names, num_ranks, rank, sum_over_ranks
from xllmx.run.metrics import read_metrics
from xllmx.trainer import Trainer, TrainerConfig

WORKER = Path(__file__).with_name("two_ranks.py")


def test_one_process_is_its_own_world() -> None:
    assert (rank(), num_ranks()) == (0, 1)
    assert all_reduce_sum(torch.tensor([2.0])).item() == 2
    assert sum_over_ranks(7) == 7
    assert any_rank(True)
    assert not any_rank(False)
    assert gather_names(["b", "a"]) == ["a", "b"]


def test_two_ranks_give_the_losses_and_weights_of_one(tmp_path: Path) -> None:
    config = TrainerConfig(
        run_dir=tmp_path / "one", max_steps=4, batch_size={"image": 4}, log_every=1, device="cpu", precision="fp32",
        eval_every=4, eval_batches=2, progress=False,
    )  # fmt: skip
    one = Trainer(ToyTask(), config, OptimConfig(lr=1e-2))
    one.fit()
    _run_two_ranks(tmp_path / "two")
    names = ("loss", "grad_norm", "image/loss", "image/accuracy", "tokens")
    for first, second in zip(read_metrics(tmp_path / "one"), read_metrics(tmp_path / "two"), strict=True):
        assert [second[name] for name in names] == pytest.approx([first[name] for name in names], rel=1e-5)
    (first,), (second,) = (read_metrics(tmp_path / name, "eval") for name in ("one", "two"))
    assert (first.pop("kind"), second.pop("kind")) == ("eval", "eval")
    assert second == pytest.approx(first, rel=1e-5)
    (checkpoint,) = CheckpointManager(tmp_path / "two" / "checkpoints").valid()
    weights = {name: torch.zeros_like(value) for name, value in one.model.state_dict().items()}
    CheckpointManager(tmp_path / "two" / "checkpoints").load(checkpoint, {"model": weights})
    for name, value in one.model.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-6)


def _run_two_ranks(run_dir: Path) -> None:
    common = {**os.environ, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    common["MASTER_PORT"] = str(_free_port())
    common["PYTHONPATH"] = os.pathsep.join(sys.path)
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(run_dir)],
            env={**common, "RANK": str(number), "LOCAL_RANK": str(number)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for worker in workers:
        errors = worker.communicate(timeout=120)[1]
        assert worker.returncode == 0, errors


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
