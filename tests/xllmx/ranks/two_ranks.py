"""One of the processes of `test_distributed`: trains the toy task in the folder given."""

import os
import sys
from pathlib import Path

import torch.distributed as dist
from toy_task import ToyTask

from xllmx.optimisation.optim import OptimConfig
from xllmx.trainer import Trainer, TrainerConfig

config = TrainerConfig(
    run_dir=Path(sys.argv[1]), max_steps=4, batch_size={"image": 2}, log_every=1, device="cpu", precision="fp32",
    eval_every=4, eval_batches=2, progress=False,
)  # fmt: skip
Trainer(ToyTask(), config, OptimConfig(lr=1e-2)).fit()
dist.barrier()
dist.destroy_process_group()
sys.stderr.flush()
os._exit(0)  # gloo's threads now and then abort an ordinary exit
