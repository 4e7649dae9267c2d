"""What test_elastic has torchrun start: a toy training that stops in the middle until one of its machines is killed."""

import json
import os
import sys
import time
from pathlib import Path

from tests.xllmx.launched_ranks import TRAINER
from tests.xllmx.toy_task import ToyTask
from xllmx.optimisation.optim import OptimConfig
from xllmx.ranks.distributed import num_ranks, rank
from xllmx.run.failure import ended_together
from xllmx.trainer import Trainer
from xllmx.trainer_config import TrainerConfig

STEPS, SAVED, HELD_AT = 8, 2, 5
"""Steps in all, between checkpoints, and the one after which three machines wait to be two."""
BATCH, MACHINES = 4, 3


def main(run: Path) -> None:
    """Train; each start of each process notes itself in the run's folder."""
    batches = {"batch_size": {"image": BATCH}, "global_batch_size": {"image": BATCH * MACHINES}}
    settings = {**TRAINER, "max_steps": STEPS, "save_every": SAVED, **batches}
    with ended_together(run):
        trainer = Trainer(ToyTask(dropout=0.0), TrainerConfig(run_dir=run, **settings), OptimConfig(lr=1e-2))
        about = {"rank": rank(), "ranks": num_ranks(), "step": trainer.step, "agent": os.getppid(), "pid": os.getpid()}
        (run / f"begun-{os.getpid()}.tmp").write_text(json.dumps(about))
        (run / f"begun-{os.getpid()}.tmp").rename(run / f"begun-{os.getpid()}.json")
        train_step = trainer.train_step

        def held(draws: list) -> None:
            train_step(draws)
            if num_ranks() == MACHINES and trainer.step == HELD_AT:
                trainer.checkpoints.wait()
                (run / f"held-{rank()}").touch()
            elif num_ranks() == MACHINES:  # else one of them is late, and is waited for
                return
            while not (run / "killed").exists() and not trainer._watch._signal:
                time.sleep(0.02)

        trainer.train_step = held  # type: ignore[method-assign]
        trainer.fit()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stderr.flush()
    os._exit(0)  # gloo's threads now and then abort an ordinary exit
