"""Training of a small text encoder: `python -m lumos.lumina_video.training.text --config FILE key=value ...`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lumos.lumina_video.training.parts.text_task import TextTask, TextTaskConfig
from xllmx.optimisation.optim import OptimConfig
from xllmx.run.training_command import training_status
from xllmx.run.whole_training import Part, train_whole
from xllmx.trainer import TrainerConfig


@dataclass(frozen=True, kw_only=True)
class TextRunConfig:
    """Everything a training of the text encoder is made from."""

    trainer: TrainerConfig
    """Steps, batches of the stream `captions`, precision, checkpoints, logs."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and learning rate."""
    task: TextTaskConfig = field(default_factory=TextTaskConfig)
    """Network, tokenizer, captions."""
    export_to: Path | None = None
    """Folder for config.json, weights and tokenizer.json, when the run ends or is stopped."""


def run(config: TextRunConfig, *, config_file: Path | str | None = None) -> dict[str, float]:
    """Train, evaluate and export, as `train_whole` does; return the metrics on held-out captions."""
    part = Part(
        task=lambda: TextTask(config.task),
        inputs={"task.tokenizer": str(config.task.tokenizer)},
        marks=("config.json",),
    )
    return train_whole(config, part, config_file=config_file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status (`xllmx.run.exit_status`)."""
    return training_status(
        "lumos.lumina_video.training.text",
        TextRunConfig,
        lambda config, file: run(config, config_file=file),
        arguments,
        description=__doc__,
    )


if __name__ == "__main__":
    sys.exit(main())
