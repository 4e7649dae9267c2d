"""Real processes, gloo between them: `run_ranks` starts them; as a script it is one of them.

A plan is a list of trainings, done one after the other in the same processes:
[{"run": folder, "task": {...}, "trainer": {...}, "parallel": {...}, "kill_after": step, "export": folder}]
"""

import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
PATIENCE_S = 500
"""Seconds a test waits for processes: machines that run tests may be busy."""
TRAINER = {
    "max_steps": 4, "batch_size": {"image": 2}, "log_every": 1, "device": "cpu", "precision": "fp32", "save_every": 0,
    "progress": False,
}  # fmt: skip


def start_ranks(words: list[str], *, num: int, a_machine: int | None = None) -> list[subprocess.Popen]:
    """Returns the processes `python WORDS`, their errors piped; `a_machine` of them are one machine of several."""
    common = {**os.environ, "WORLD_SIZE": str(num), "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    common["MASTER_PORT"] = str(_free_port())
    common["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[2]), *sys.path])
    return [
        subprocess.Popen(
            [sys.executable, *words],
            env={**common, "RANK": str(number), "LOCAL_RANK": str(number % (a_machine or num))},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(num)
    ]


def run_ranks(plan: list[dict[str, Any]], *, num: int, a_machine: int | None = None, fails: bool = False) -> list[str]:
    """Returns the standard errors of the processes, which must all end well (or all badly, if `fails`)."""
    errors, codes = ended(start_ranks([str(HERE), json.dumps(plan, default=str)], num=num, a_machine=a_machine))
    assert all(bool(code) == fails for code in codes), (codes, errors)
    return errors


def ended(workers: list[subprocess.Popen]) -> tuple[list[str], list[int]]:
    """Returns errors and exit statuses of the processes; none of them is left."""
    try:
        errors = [worker.communicate(timeout=PATIENCE_S)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    return errors, [worker.returncode for worker in workers]


def train(entry: dict[str, Any]) -> Any:
    """Returns the trainer after its training; the same in this process and in one of several."""
    from faulty_task import FaultyTask

    from xllmx.optimisation.optim import OptimConfig
    from xllmx.ranks.parallel import ParallelConfig
    from xllmx.trainer import Trainer, TrainerConfig

    run = str(entry["run"]).replace("RANK", os.environ.get("RANK", "0"))  # a disk of each process's own
    config = TrainerConfig(run_dir=Path(run), **{**TRAINER, **entry.get("trainer", {})})
    parallel = ParallelConfig(**entry.get("parallel", {}))
    trainer = Trainer(FaultyTask(**entry.get("task", {})), config, OptimConfig(lr=1e-2), parallel)
    if "kill_after" in entry:
        _kill_after(trainer, entry["kill_after"], entry.get("kill_rank"))
    trainer.fit()
    if "export" in entry:
        trainer.export(Path(entry["export"]))
    return trainer


def _kill_after(trainer: Any, step: int, rank: int | None) -> None:
    """SIGKILL to this process, or to that of one rank, when the step is done and what was being saved is written."""
    original = trainer.train_step

    def train_step(*arguments: Any) -> None:
        original(*arguments)
        if trainer.step == step:
            trainer.checkpoints.wait()
        if trainer.step == step and rank in (None, int(os.environ["RANK"])):
            os.kill(os.getpid(), signal.SIGKILL)

    trainer.train_step = train_step


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    if "deepspeed" in sys.argv[1]:
        warnings.simplefilter("ignore")
    sys.path.insert(0, str(HERE.parent))
    from xllmx.run.failure import ended_together

    plans = json.loads(sys.argv[1])
    with ended_together(Path(plans[0]["run"])):
        for planned in plans:
            train(planned)
    sys.stderr.flush()
    os._exit(0)  # gloo's threads now and then abort an ordinary exit
