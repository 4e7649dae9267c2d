"""A cluster of Slurm's own daemons on this machine: slurmctld and two nodes, with a configuration of their own."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PATIENCE_S = 280
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=30
SlurmctldPort={ports[0]}
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]},{ports[2]} CPUs=64
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Cluster:
    """Jobs are submitted from the root of the repository, with `environment`."""

    folder: Path
    environment: dict[str, str]
    repo: Path

    def run(self, *words: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(words, env=self.environment, cwd=self.repo, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def submit(self, *words: str) -> str:
        """The number of a job whose log is NUMBER.log in `folder`."""
        return self.run("sbatch", "--parsable", f"--output={self.folder}/%j.log", *words).strip()

    def state(self, job: str) -> dict[str, str]:
        """What Slurm says of a job, or of the only one left of an array."""
        words = self.run("scontrol", "show", "job", job, "--oneliner").splitlines()[-1].split()
        return dict(word.partition("=")[::2] for word in words)

    def wait(self, done: Callable[[], bool], *, job: str | None = None) -> None:
        """Until it is so; what the jobs said is shown where that takes too long, or `job` has failed meanwhile."""
        end = time.monotonic() + PATIENCE_S
        while not done():
            failed = job is not None and self.state(job)["JobState"] == "FAILED"
            if failed or time.monotonic() > end:
                said = [*sorted(self.folder.glob("[0-9]*.log")), *sorted(self.folder.glob("slurm*.log"))]
                logs = [f"--- {path.name}\n{path.read_text()[-3000:]}" for path in said]
                raise AssertionError("\n".join([self.run("squeue"), *logs]))
            time.sleep(0.2)


@contextmanager
def slurm_cluster(folder: Path, repo: Path) -> Iterator[Cluster]:
    """A running cluster; the test is skipped where Slurm is not installed, or its daemons may not be started."""
    if missing := [name for name in ("slurmctld", "slurmd", "sbatch", "srun") if shutil.which(name) is None]:
        pytest.skip(f"{missing[0]} is not installed (apt-get install slurm-wlm)")
    if os.geteuid():
        pytest.skip("slurmd is started by root alone")
    host = socket.gethostname().partition(".")[0]
    (folder / "state").mkdir()
    (folder / "slurm.conf").write_text(CONFIG.format(host=host, folder=folder, ports=_free_ports(3)))
    left_out = ("SLURM_", "WORLD_SIZE", "RANK", "LOCAL_RANK", "PYTEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    environment = {**kept, "SLURM_CONF": str(folder / "slurm.conf"), "PYTHONPATH": str(repo), "OMP_NUM_THREADS": "1"}
    daemons = []
    try:
        for words in (["slurmctld", "-D"], ["slurmd", "-D", "-N", "n1"], ["slurmd", "-D", "-N", "n2"]):
            with (folder / f"{words[-1]}.out").open("w") as out:
                daemons.append(subprocess.Popen(words, env=environment, stdout=out, stderr=out))
        cluster = Cluster(folder, environment, repo)
        cluster.wait(lambda: _answers(environment))
        yield cluster
        cluster.run("scancel", "--user=root")
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait()


def _answers(environment: dict[str, str]) -> bool:
    words = ["sinfo", "--noheader", "--states=idle", "--format=%D"]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False).stdout.strip() == "2"


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
