"""Processes that srun started find each other by what Slurm says, and leave it to a launcher where there is one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from xllmx.ranks.slurm import SlurmArray, as_array, first_node, slurm_array, slurm_task

SRUN = {"SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1", "SLURM_NODELIST": "gpu[07-08,11]",
        "SLURM_JOB_ID": "123456", "SLURM_STEP_ID": "0"}  # fmt: skip
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


def test_a_batch_script_which_no_srun_started_waits_for_no_others() -> None:
    assert slurm_task({name: value for name, value in SRUN.items() if name != "SLURM_STEP_ID"}) is None


def array(index: int, first: int, last: int, count: int) -> dict[str, str]:
    numbers = {"ID": index, "MIN": first, "MAX": last, "COUNT": count}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in numbers.items()}


@pytest.mark.parametrize(
    ("numbers", "place"),
    [((3, 1, 64, 64), (3, 64)), ((0, 0, 63, 64), (1, 64)), ((63, 0, 63, 64), (64, 64)), ((1, 1, 1, 1), (1, 1)),
     ((7, 3, 7, 2), (7, None)), ((2, 2, 4, 3), (2, None)), ((5, 1, 9, 3), (5, None))],
)  # fmt: skip
def test_an_array_says_which_job_this_is_and_of_how_many_where_none_is_left_out(
    numbers: tuple[int, int, int, int], place: tuple[int, int | None]
) -> None:
    assert slurm_array(array(*numbers)) == SlurmArray(index=place[0], count=place[1])


def test_no_array_is_none() -> None:
    assert slurm_array(SRUN) is None


@pytest.mark.parametrize("numbers", [(9, 1, 8, 8), (2, 3, 8, 6), (3, 1, 4, 5), (3, 1, 4, 0)])
def test_an_array_whose_numbers_contradict_each_other_is_named(numbers: tuple[int, int, int, int]) -> None:
    said = f"SLURM_ARRAY_TASK_ID={numbers[0]} of SLURM_ARRAY_TASK_MIN={numbers[1]}.* contradict each other; start it"
    with pytest.raises(ValueError, match=said):
        slurm_array(array(*numbers))


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("a", "a"), ("gpu[007-012,20],cpu1", "gpu007"), ("rack[2,4]-node[10-12]", "rack2-node10"), ("x1,y[2-3]", "x1")],
)
def test_the_first_machine_of_a_list(nodes: str, first: str) -> None:
    assert first_node(nodes) == first


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"SLURM_PROCID": "x"}, "SLURM_PROCID is 'x'; it must be a whole number: start it with srun"),
        ({"SLURM_PROCID": "8"}, "SLURM_PROCID is 8 of SLURM_NTASKS=8; start it with srun"),
        ({"SLURM_NODELIST": ""}, "SLURM_NODELIST is not set; set MASTER_ADDR"),
    ],
)
def test_what_slurm_cannot_mean_is_named(changed: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        slurm_task({**SRUN, **changed})


def test_numbers_are_written_in_runs() -> None:
    assert [as_array(numbers) for numbers in ([], [4], [1, 2], [3, 7, 9, 10, 11, 12])] == ["", "4", "1-2", "3,7,9-12"]


def test_two_tasks_of_one_machine_meet_and_add(repo: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("WORLD_SIZE", "RANK", "LOCAL_RANK")}
    job = str(os.getpid() % 10_000)  # its port is its own
    common = {
        **kept,
        "SLURM_NTASKS": "2",
        "SLURM_NODELIST": "localhost",
        "SLURM_JOB_ID": job,
        "SLURM_STEP_ID": "0",
        "PYTHONPATH": str(repo),
    }
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
