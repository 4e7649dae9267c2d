"""exps/slurm/*.sbatch, run by Slurm's own daemons: parts by the array, a training that is stopped and goes on."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pre_tokenize import __main__ as program
from pre_tokenize import concat_record
from tests.exps.slurm_cluster import Cluster, slurm_cluster
from tests.pre_tokenize import conftest as pre_tokenising
from tests.pre_tokenize.test_main import assert_is_whole, contents

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.timeout(900)]
command, images, tokenizers = pre_tokenising.command, pre_tokenising.images, pre_tokenising.tokenizers
SAYS = """#!/bin/bash
case "$*" in *"-I -c"*) ;; *device_count*) echo 1 ;; *) echo "$SLURM_ARRAY_TASK_ID/$SLURM_PROCID $*" >> "$SAID" ;; esac
"""
"""An interpreter that has every module and one GPU, and notes what it is told."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Iterator[Cluster]:
    with slurm_cluster(tmp_path_factory.mktemp("slurm"), repo) as running:
        yield running


def finished(cluster: Cluster, job: str) -> Callable[[], bool]:
    return lambda: not cluster.run("squeue", "--noheader", "--jobs", job).strip()


def test_an_array_pre_tokenises_its_parts_and_the_last_of_it_writes_the_index(
    cluster: Cluster,
    images,
    tmp_path: Path,
    command: Callable[..., list[str]],
) -> None:
    output = tmp_path / "by slurm"
    words = command(images.file, output, modality="image")
    job = cluster.submit("--cpus-per-task=1", "--array=1-2", "exps/slurm/pre_tokenize.sbatch", *words)
    cluster.wait(finished(cluster, job))
    for task in ("1", "2"):
        place = ["--all_tasks", "2", "--task_id", task]
        assert program.main([*command(images.file, tmp_path / "alone", modality="image"), *place]) == 0
    assert concat_record.main(["--output_dir", str(tmp_path / "alone")]) == 0
    assert_is_whole(output, images)
    assert contents(output) == contents(tmp_path / "alone")


def test_a_training_that_slurm_signals_saves_is_queued_again_and_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.sh"
    recipe.write_text('exec "$LUMOS_PYTHON" -m tests.exps.slurm_training "$1"\n')
    cluster.environment["MASTER_ADDR"] = "127.0.0.1"  # the names of the two nodes are in no DNS
    shape = ["--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1"]
    job = cluster.submit(*shape, "exps/slurm/train.sbatch", str(recipe), str(tmp_path / "run"))
    cluster.wait(lambda: cluster.state(job).get("Restarts") == "1", job=job)
    # Slurm waits two minutes before it starts again; in the second of the kill the node would refuse it as killed.
    cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now+3")
    cluster.wait(lambda: cluster.state(job)["JobState"] == "COMPLETED", job=job)
    said = [json.loads(line) for line in (tmp_path / "run" / "said.jsonl").read_text().splitlines()]
    assert said == [[0, 2, "SIGUSR1", 2], [2, 4, None, 2]]


def test_what_scancel_ends_stays_ended(cluster: Cluster, tmp_path: Path) -> None:
    recipe, begun = tmp_path / "recipe.sh", tmp_path / "begun"
    recipe.write_text(f"trap 'exit 143' TERM; touch {begun}; while :; do sleep 0.1; done\n")
    job = cluster.submit(
        "--nodes=1", "--ntasks-per-node=1", "--cpus-per-task=1", "exps/slurm/train.sbatch", str(recipe)
    )
    cluster.wait(begun.exists)
    cluster.run("scancel", job)
    cluster.wait(finished(cluster, job))
    state = cluster.state(job)
    assert (state["JobState"], state["Restarts"]) == ("CANCELLED", "0")


def test_samples_are_shared_by_the_array_and_its_processes(cluster: Cluster, tmp_path: Path) -> None:
    python, said = tmp_path / "python", tmp_path / "said"
    python.write_text(SAYS)
    python.chmod(0o755)
    cluster.environment.update(LUMOS_PYTHON=str(python), SAID=str(said))
    words = ["custom", "t2i", "--out", "a folder"]
    shape = ["--ntasks-per-node=2", "--cpus-per-task=1", "--array=1-2"]
    cluster.wait(finished(cluster, cluster.submit(*shape, "exps/slurm/sample.sbatch", *words)))
    cluster.environment["PARTS"] = "8"
    cluster.wait(finished(cluster, cluster.submit(*shape[:2], "--array=5", "exps/slurm/sample.sbatch", *words)))
    ran = sorted(line for line in said.read_text().splitlines() if "-m eval" in line)
    made = [f"{job}/{task} -m eval.custom t2i --out a folder" for job in (1, 2) for task in (0, 1)]
    assert ran == made + [f"5/{task} -m eval.custom t2i --out a folder --part 5,8" for task in (0, 1)]
