"""exps/launch.sh, elastic, with real launchers: one of three machines dies, and the other two go on."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.exps.elastic_training import BATCH, HELD_AT, MACHINES, SAVED, STEPS
from tests.xllmx.launched_ranks import TRAINER
from tests.xllmx.toy_task import ToyTask
from xllmx.optimisation.optim import OptimConfig
from xllmx.run.reporting.metrics import read_metrics
from xllmx.trainer import Trainer
from xllmx.trainer_config import TrainerConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PYTHON = """#!/bin/bash
words="$*"
[[ $words == *lumos.train* ]] || exec {python} "$@"
exec {python} ${{words%%-m lumos.train*}} {script} {run}
"""
"""An interpreter that trains the toy where lumos.train is asked for."""
PATIENCE_S = 400


def waited(ready: Callable[[], bool], agents: list[subprocess.Popen[str]]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        assert time.monotonic() < deadline, [agent.poll() for agent in agents]
        assert None in [agent.poll() for agent in agents], [agent.communicate()[1][-2000:] for agent in agents]
        time.sleep(0.05)


def agent(repo: Path, folder: Path, port: int) -> "subprocess.Popen[str]":
    """One machine: `exps/launch.sh` as it is typed."""
    python = folder / "python"
    if not python.exists():
        script = repo / "tests" / "exps" / "elastic_training.py"
        python.write_text(PYTHON.format(python=sys.executable, script=script, run=folder / "run"))
        python.chmod(0o755)
    quick = "last_call_timeout=15,keep_alive_interval=2,keep_alive_max_attempt=8"
    environment = {
        **os.environ, "LUMOS_PYTHON": str(python), "NUM_PROCESSES": "1", "NUM_NODES": "2:3", "OMP_NUM_THREADS": "1",
        "RDZV_ENDPOINT": f"127.0.0.1:{port}", "RDZV_CONF": quick, "MAX_RESTARTS": "2",
    }  # fmt: skip
    command = ["bash", str(repo / "exps" / "launch.sh"), "configs/train/debug.yaml"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def meets(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def begun(run: Path) -> list[dict[str, int]]:
    return [json.loads(file.read_text()) for file in run.glob("begun-*.json")]


def test_two_of_three_machines_go_on_from_the_checkpoint_with_the_same_global_batch(repo: Path, tmp_path: Path) -> None:
    """SIGKILL to one launcher; its worker ends with it. The steps are those of an unbroken run of one process."""
    run = tmp_path / "run"
    run.mkdir()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    agents = [agent(repo, tmp_path, port)]
    try:
        waited(lambda: meets(port), agents)  # the first holds the meeting, without which all end (exps/README.md)
        agents += [agent(repo, tmp_path, port) for _ in range(MACHINES - 1)]
        waited(lambda: len(list(run.glob("held-*"))) == MACHINES, agents)
        workers = {about["pid"]: about["agent"] for about in begun(run)}
        *rest, lost = agents
        lost.send_signal(signal.SIGKILL)
        waited(lambda: all(ended(pid) for pid, of in workers.items() if of == lost.pid), rest)
        (run / "killed").touch()
        errors = [one.communicate(timeout=PATIENCE_S)[1] for one in rest]
        assert [one.returncode for one in rest] == [0, 0], errors
    finally:
        for one in agents:
            one.kill()
            one.communicate()
    again = [(about["ranks"], about["rank"], about["step"]) for about in begun(run) if about["pid"] not in workers]
    saved = HELD_AT - HELD_AT % SAVED
    assert sorted(again) == [(2, 0, saved), (2, 1, saved)]
    settings = {**TRAINER, "max_steps": STEPS, "batch_size": {"image": BATCH * MACHINES}}
    Trainer(ToyTask(), TrainerConfig(run_dir=tmp_path / "one", **settings), OptimConfig(lr=1e-2)).fit()
    rows, wanted = read_metrics(run), read_metrics(tmp_path / "one")
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    for name in ("loss", "tokens", "grad_norm"):
        assert [row[name] for row in rows] == pytest.approx([row[name] for row in wanted], rel=2e-5), name
