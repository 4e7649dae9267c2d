"""Training of a small VAE from a config: `python -m lumos.lumina_video.training.vae --config FILE key=value ...`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file

from lumos.lumina_video.training.vae_task import NETWORK_FILE, VAETask, VAETaskConfig
from xllmx.files import atomic_path
from xllmx.optim import OptimConfig
from xllmx.place import check_new_folder
from xllmx.ranks.parallel import ParallelConfig
from xllmx.run.failure import ended_together
from xllmx.run.folder import claimed_run
from xllmx.run.training_command import training_status
from xllmx.trainer import Trainer, TrainerConfig


@dataclass(frozen=True, kw_only=True)
class VAERunConfig:
    """Everything a training of the VAE is made from."""

    trainer: TrainerConfig
    """Steps, batches and turns of the streams images, clips and chained, precision, checkpoints, logs."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and learning rate."""
    task: VAETaskConfig = field(default_factory=VAETaskConfig)
    """Network, data, losses."""
    export_to: Path | None = None
    """Folder for config.json and the weights in diffusers' format, when the run ends or is stopped."""
    export_dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """Precision of the exported weights."""


def run(config: VAERunConfig, *, config_file: Path | str | None = None) -> dict[str, float]:
    """Train, evaluate and export; return the metrics on held-out clips; `config_file` is where the settings came from.

    Raises:
        ValueError: another training is at work in the folder, an output is an input, and what `Trainer` raises.
    """
    run_dir, inputs = config.trainer.run_dir, {"task.init_from": config.task.init_from}
    if config.export_to is not None:
        check_new_folder(config.export_to, inputs={**inputs, "trainer.run_dir": run_dir}, marks=("config.json",))
    claim = claimed_run(run_dir, inputs=inputs, config_file=config_file, written=(NETWORK_FILE,))
    with ended_together(run_dir), claim:
        task = VAETask(config.task, export_dtype=getattr(torch, config.export_dtype))
        trainer = Trainer(task, config.trainer, config.optim, ParallelConfig(), record=config)
        trainer.fit()
        metrics = trainer.evaluate()
        weights = {**trainer.model.state_dict(), **trainer.ema_state()}
        with atomic_path(run_dir / NETWORK_FILE) as temporary:
            save_file(weights, temporary)
        if config.export_to is not None:
            trainer.export(config.export_to)
        return metrics


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status (`xllmx.run.exit_status`)."""
    return training_status(
        "lumos.lumina_video.training.vae",
        VAERunConfig,
        lambda config, file: run(config, config_file=file),
        arguments,
        description=__doc__,
    )


if __name__ == "__main__":
    sys.exit(main())
