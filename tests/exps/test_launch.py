"""What exps/launch.sh starts: one process, the launcher on one machine, or on several, static or elastic."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

FAKE = """#!/bin/bash
case "$*" in *lumos.train* | *"lumos train"*) echo "$@" ;; esac
"""
SCONTROL = """#!/bin/bash
[ "$*" = "show hostnames gpu[7-9]" ] && printf 'gpu7\\ngpu8\\ngpu9\\n'
"""
END = "-m lumos.train --config configs/train/debug.yaml trainer.max_steps=3"
STATIC = {"NUM_NODES": "2", "NODE_RANK": "0", "MASTER_ADDR": "first"}
TASK_A_MACHINE = {
    "SLURM_JOB_ID": "120042", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "3", "SLURM_NNODES": "3", "SLURM_NODEID": "2",
    "SLURM_JOB_NODELIST": "gpu[7-9]", "NUM_PROCESSES": "8",
}  # fmt: skip
MANY = "-m torch.distributed.run --nproc-per-node"


def started(
    repo: Path, folder: Path, words: tuple[str, ...] = ("trainer.max_steps=3",), **environment: str
) -> subprocess.CompletedProcess[str]:
    python = folder / "python"
    python.write_text(FAKE)
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    command = ["bash", str(repo / "exps" / "launch.sh"), "configs/train/debug.yaml", *words]
    scontrol = folder / "scontrol"
    scontrol.write_text(SCONTROL)
    scontrol.chmod(scontrol.stat().st_mode | stat.S_IXUSR)
    variables = {"PATH": f"{folder}:{os.environ['PATH']}", "LUMOS_PYTHON": str(python), **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("environment", "launcher"),
    [
        ({"NUM_PROCESSES": "1"}, ""),
        ({"NUM_PROCESSES": "8"}, f"{MANY} 8 --standalone "),
        ({"SLURM_STEP_ID": "0", "SLURM_NTASKS": "8"}, ""),
        ({"SLURM_NTASKS": "8", "NUM_PROCESSES": "8"}, f"{MANY} 8 --standalone "),
        (
            {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "6", "NUM_PROCESSES": "8", **STATIC, "NUM_NODES": "6"},
            f"{MANY} 8 --nnodes 6 --node-rank 0 --master-addr first --master-port 29500 ",
        ),
        (
            TASK_A_MACHINE,
            f"{MANY} 8 --nnodes 3 --node-rank 2 --master-addr gpu7 --master-port 15042 ",
        ),
        ({**TASK_A_MACHINE, "SLURM_NTASKS": "24", "NUM_PROCESSES": "1"}, ""),
        (
            {"NUM_PROCESSES": "8", "NUM_NODES": "6", "NODE_RANK": "2", "MASTER_ADDR": "first"},
            f"{MANY} 8 --nnodes 6 --node-rank 2 --master-addr first --master-port 29500 ",
        ),
        (
            {"NUM_PROCESSES": "8", "NUM_NODES": "4:6", "RDZV_ENDPOINT": "first:29400", "RDZV_ID": "a"},
            f"{MANY} 8 --nnodes 4:6 --rdzv-backend c10d --rdzv-endpoint first:29400 --rdzv-id a --max-restarts 3 ",
        ),
        (
            {"NUM_PROCESSES": "1", "NUM_NODES": "1:3", "RDZV_ENDPOINT": "first:29400", "RDZV_CONF": "join_timeout=60"},
            f"{MANY} 1 --nnodes 1:3 --rdzv-backend c10d --rdzv-endpoint first:29400 --rdzv-id lumos --max-restarts 3 "
            "--rdzv-conf join_timeout=60 ",
        ),
        (
            TASK_A_MACHINE | {"NUM_NODES": "2:3"},
            f"{MANY} 8 --nnodes 2:3 --rdzv-backend c10d --rdzv-endpoint gpu7:15042 --rdzv-id 120042 --max-restarts 3 ",
        ),
    ],
)
def test_the_launcher_follows_the_environment(
    repo: Path, tmp_path: Path, environment: dict[str, str], launcher: str
) -> None:
    result = started(repo, tmp_path, **environment)
    assert (result.returncode, result.stdout.strip()) == (0, launcher + END), result.stderr


def test_a_dry_run_of_a_recipe_is_one_process_that_reckons(repo: Path, tmp_path: Path) -> None:
    result = started(repo, tmp_path, ("trainer.max_steps=3", "--dry-run", "--gpus", "8"), NUM_PROCESSES="8")
    told = "-m lumos train --config configs/train/debug.yaml trainer.max_steps=3 --dry-run --gpus 8"
    assert (result.returncode, result.stdout.strip()) == (0, told), result.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({**TASK_A_MACHINE, "NODE_RANK": "1"}, "note: NODE_RANK=1 was set, and wins over SLURM_NODEID=2\n"),
        ({**TASK_A_MACHINE, "NODE_RANK": "2", "NUM_NODES": "3"}, ""),
        (
            {"SLURM_JOB_ID": "7", "SLURM_NNODES": "3", "SLURM_NTASKS": "24", "NUM_PROCESSES": "1"},
            "note: the job has 3 machines, and this runs on one; on all: srun bash exps/launch.sh ...\n",
        ),
    ],
)
def test_what_is_set_wins_over_slurm_and_is_said(
    repo: Path, tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    result = started(repo, tmp_path, **environment)
    assert (result.returncode, result.stderr) == (0, said)
    assert f"--node-rank {environment.get('NODE_RANK', '')}" in result.stdout or "SLURM_STEP_ID" not in environment


ELASTIC = {"NUM_NODES": "2:3", "RDZV_ENDPOINT": "first:29400"}


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"NUM_PROCESSES": "abc"}, "NUM_PROCESSES is 'abc'; set it to a whole number from 1 on"),
        ({"NUM_PROCESSES": "0"}, "NUM_PROCESSES is '0'; set it to a whole number from 1 on"),
        (STATIC | {"NUM_NODES": "abc"}, "NUM_NODES (without RDZV_ENDPOINT) is 'abc'; set it to a whole number"),
        (STATIC | {"NUM_NODES": "2:3"}, "NUM_NODES (without RDZV_ENDPOINT) is '2:3'; set it to a whole number"),
        (STATIC | {"NODE_RANK": "x"}, "NODE_RANK is 'x'; set it to a whole number from 0 to 1"),
        (STATIC | {"NODE_RANK": "2"}, "NODE_RANK is '2'; set it to a whole number from 0 to 1"),
        (
            TASK_A_MACHINE | {"SLURM_NTASKS": "24", "NUM_NODES": "2:3"},
            "--ntasks-per-node is '8'; set it to 1: an elastic run has one launcher a machine",
        ),
        (TASK_A_MACHINE | {"SLURM_NODEID": "3"}, "SLURM_NODEID is '3'; set it to a whole number from 0 to 2"),
        (STATIC | {"NODE_RANK": "-1"}, "NODE_RANK is '-1'; set it to a whole number from 0 to 1"),
        *(
            (
                ELASTIC | {"NUM_NODES": nodes},
                f"NUM_NODES is '{nodes}'; set it to a whole number from 1 on, or to MIN:MAX",
            )
            for nodes in ("abc", "0", "3:2", "4:", ":4", "0:2", "2:3:4")
        ),
    ],
)
def test_a_variable_that_is_no_such_number_is_named(
    repo: Path, tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    result = started(repo, tmp_path, **{"NUM_PROCESSES": "1", **environment})
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.stderr
    assert result.stderr.startswith(f"error: {said}")


def test_several_machines_need_to_know_their_number_and_the_first(repo: Path, tmp_path: Path) -> None:
    for known, missing in (({}, "NODE_RANK"), ({"NODE_RANK": "0"}, "MASTER_ADDR")):
        result = started(repo, tmp_path, NUM_PROCESSES="8", NUM_NODES="2", **known)
        assert result.returncode != 0
        assert f"set {missing}" in result.stderr
