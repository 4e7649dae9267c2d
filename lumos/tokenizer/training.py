"""Training of the visual tokenizer from a config: `python -m lumos.tokenizer.training --config FILE key=value ...`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from lumos.hub.models import VISUAL_PAIR
from lumos.tokenizer.task import TokenizerTask, TokenizerTaskConfig
from xllmx.optimisation.optim import OptimConfig
from xllmx.run.training_command import training_status
from xllmx.run.whole_training import NETWORK_FILE, Part, train_whole
from xllmx.trainer import TrainerConfig


@dataclass(frozen=True, kw_only=True)
class TokenizerRunConfig:
    """Everything a tokenizer training is made from."""

    trainer: TrainerConfig
    """Steps, batches, precision, checkpoints, logs."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and learning rate."""
    task: TokenizerTaskConfig = field(default_factory=TokenizerTaskConfig)
    """Network, data, losses."""
    export_to: Path | None = None
    """Folder for encoder.jit and decoder.jit once the last step is done."""
    export_dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the exported weights."""


def run(config: TokenizerRunConfig, *, config_file: Path | str | None = None) -> dict[str, float]:
    """Train, evaluate and export, as `train_whole` does; return the metrics on held-out clips."""
    part = Part(
        task=lambda: TokenizerTask(config.task, export_dtype=getattr(torch, config.export_dtype)),
        inputs={"task.init_from": config.task.init_from, "task.pictures": config.task.pictures},
        marks=VISUAL_PAIR,
        weights_file=NETWORK_FILE,
        keeps_stopped=False,
    )
    return train_whole(config, part, config_file=config_file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status (`xllmx.run.exit_status`)."""
    return training_status(
        "lumos.tokenizer.training",
        TokenizerRunConfig,
        lambda config, file: run(config, config_file=file),
        arguments,
        description=__doc__,
    )


if __name__ == "__main__":
    sys.exit(main())
