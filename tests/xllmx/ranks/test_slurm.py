"""Processes that srun started find each other by what Slurm says, and leave it to a launcher where there is one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from xllmx.ranks.slurm import first_node, slurm_task

SRUN = {"SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1", "SLURM_NODELIST": "gpu[07-08,11]",
        "SLURM_JOB_ID": "123456"}  # fmt: skip
WORKER = """
import sys, torch
from xllmx.ranks.distributed import all_reduce_sum, init_distributed, launched_local_rank, num_ranks, rank, shutdown
device = init_distributed("cpu")
total = all_reduce_sum(torch.tensor([rank() + 1]))
sys.stdout.write(f"{rank()} of {num_ranks()}, local {launched_local_rank()}, sum {int(total)}")
shutdown()
"""


def test_a_task_is_what_slurm_says() -> None:
    task = slurm_task(SRUN)
    assert task is not None
    assert (task.rank, task.num_ranks, task.local_rank, task.meeting) == (5, 8, 1, "tcp://gpu07:18456")


def test_the_meeting_place_may_be_given() -> None:
    task = slurm_task({**SRUN, "MASTER_ADDR": "first", "MASTER_PORT": "29500"})
    assert task is not None
    assert task.meeting == "tcp://first:29500"


@pytest.mark.parametrize(
    "environment", [{}, {**SRUN, "WORLD_SIZE": "2"}, {**SRUN, "SLURM_NTASKS": "1"}, {"SLURM_NTASKS": "8"}]
)
def test_a_launcher_or_a_single_task_is_not_slurms(environment: dict[str, str]) -> None:
    assert slurm_task(environment) is None


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("a", "a"), ("gpu[007-012,20],cpu1", "gpu007"), ("rack[2,4]-node[10-12]", "rack2-node10"), ("x1,y[2-3]", "x1")],
)
def test_the_first_machine_of_a_list(nodes: str, first: str) -> None:
    assert first_node(nodes) == first


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"SLURM_PROCID": "x"}, "SLURM_PROCID is 'x'; it must be a whole number: start the training with srun"),
        ({"SLURM_PROCID": "8"}, "SLURM_PROCID is 8 of SLURM_NTASKS=8; start the training with srun"),
        ({"SLURM_NODELIST": ""}, "SLURM_NODELIST is not set; set MASTER_ADDR"),
    ],
)
def test_what_slurm_cannot_mean_is_named(changed: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        slurm_task({**SRUN, **changed})


def test_two_tasks_of_one_machine_meet_and_add(repo: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("WORLD_SIZE", "RANK", "LOCAL_RANK")}
    job = str(os.getpid() % 10_000)  # its port is its own
    common = {**kept, "SLURM_NTASKS": "2", "SLURM_NODELIST": "localhost", "SLURM_JOB_ID": job, "PYTHONPATH": str(repo)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env={**common, "SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    said = [worker.communicate(timeout=500)[0] for worker in workers]
    assert said == ["0 of 2, local 0, sum 3", "1 of 2, local 1, sum 3"]
