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
from xllmx.optimisation.optim import OptimConfig
from xllmx.ranks.distributed import (
    all_reduce_sum,
    any_rank,
    gather,
    gather_names,
    init_distributed,
    num_ranks,
    rank,
    sum_over_ranks,
)
from xllmx.run.reporting.metrics import read_metrics
from xllmx.trainer import Trainer, TrainerConfig

WORKER = Path(__file__).with_name("two_ranks.py")


def test_one_process_is_its_own_world() -> None:
    assert (rank(), num_ranks()) == (0, 1)
    assert all_reduce_sum(torch.tensor([2.0])).item() == 2
    assert sum_over_ranks(7) == 7
    assert any_rank(True)
    assert not any_rank(False)
    assert gather_names(["b", "a"]) == ["a", "b"]
    assert gather({"one": 1}) == [{"one": 1}]


@pytest.mark.parametrize(("found", "device"), [("xpu", "xpu:1"), ("mps", "cpu"), (None, "cpu")])
def test_auto_is_the_gpu_of_the_local_rank(monkeypatch: pytest.MonkeyPatch, found: str | None, device: str) -> None:
    chosen: list[int] = []
    accelerator = None if found is None else torch.device(found)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: accelerator)
    monkeypatch.setattr(torch.accelerator, "set_device_index", chosen.append)
    monkeypatch.setattr(torch.accelerator, "current_device_index", lambda: chosen[-1])
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert init_distributed("auto") == torch.device(device)


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


PATIENT = """
import sys, time
from datetime import timedelta
import torch.distributed as dist
from xllmx.ranks.distributed import patience
number = int(sys.argv[2])
dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=number, world_size=2)
dist.barrier()
dist.distributed_c10d._set_pg_timeout(timedelta(seconds=5), dist.group.WORLD)
with patience():
    time.sleep(12 * (number == 0))
print("together", flush=True)
"""


@pytest.mark.slow
def test_ranks_wait_longer_than_their_group_would_for_one_that_makes_samples(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PATIENT, str(tmp_path / "store"), str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for worker in workers:
        said, errors = worker.communicate(timeout=300)
        assert said == "together\n", errors


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
