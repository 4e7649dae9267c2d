"""What test_slurm_jobs has Slurm train: a toy, in as many processes as srun starts, which is told to stop once."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from lumos.cli.training.training_run import stopped_status
from tests.xllmx.launched_ranks import TRAINER
from tests.xllmx.toy_task import ToyTask
from xllmx.optimisation.optim import OptimConfig
from xllmx.ranks.distributed import init_distributed, is_main, num_ranks, shutdown
from xllmx.trainer import Trainer
from xllmx.trainer_config import TrainerConfig

STOPPED_AT, STEPS = 2, 4


def main(run: Path) -> int:
    """128 and the number of the signal that stopped it, or 0."""
    init_distributed("cpu")
    trainer = Trainer(ToyTask(), TrainerConfig(run_dir=run, **{**TRAINER, "max_steps": STEPS}), OptimConfig())
    train_step, begun = trainer.train_step, trainer.step

    def told_to_stop(draws: list) -> None:
        train_step(draws)
        if trainer.step == STOPPED_AT:
            if is_main():
                # Unchecked: the signal may meet scancel too, which runs in the job.
                subprocess.run(["scancel", "--signal=USR1", os.environ["SLURM_JOB_ID"]], check=False)
            while not trainer._watch._signal:
                time.sleep(0.01)

    trainer.train_step = told_to_stop  # type: ignore[method-assign]
    result = trainer.fit()
    if is_main():
        with (run / "said.jsonl").open("a") as file:
            file.write(json.dumps([begun, result.step, result.stopped, num_ranks()]) + "\n")
    shutdown()
    return stopped_status(result.stopped) if result.stopped else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
