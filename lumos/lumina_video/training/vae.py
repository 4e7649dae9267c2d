"""Training of a small VAE from a config: `python -m lumos.lumina_video.training.vae --config FILE key=value ...`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from lumos.lumina_video.training.parts.vae_task import VAETask, VAETaskConfig
from xllmx.optimisation.optim import OptimConfig
from xllmx.run.training_command import training_status
from xllmx.run.whole_training import NETWORK_FILE, Part, train_whole
from xllmx.trainer import TrainerConfig


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
    """Train, evaluate and export, as `train_whole` does; return the metrics on held-out clips."""
    part = Part(
        task=lambda: VAETask(config.task, export_dtype=getattr(torch, config.export_dtype)),
        inputs={"task.init_from": config.task.init_from},
        marks=("config.json",),
        weights_file=NETWORK_FILE,
    )
    return train_whole(config, part, config_file=config_file)


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
