"""Training of a small text encoder: `python -m lumos.lumina_video.training.text --config FILE key=value ...`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lumos.lumina_video.training.text_task import TextTask, TextTaskConfig
from xllmx.optim import OptimConfig
from xllmx.place import check_new_folder
from xllmx.ranks.parallel import ParallelConfig
from xllmx.run.failure import ended_together
from xllmx.run.folder import claimed_run
from xllmx.run.training_command import training_status
from xllmx.trainer import Trainer, TrainerConfig


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
    """Train, evaluate and export; return the metrics on held-out captions; `config_file` is where settings come from.

    Raises:
        ValueError: another training is at work in the folder, an output is an input, and what `Trainer` raises.
    """
    run_dir, inputs = config.trainer.run_dir, {"task.tokenizer": str(config.task.tokenizer)}
    if config.export_to is not None:
        check_new_folder(config.export_to, inputs={**inputs, "trainer.run_dir": run_dir}, marks=("config.json",))
    with ended_together(run_dir), claimed_run(run_dir, inputs=inputs, config_file=config_file):
        trainer = Trainer(TextTask(config.task), config.trainer, config.optim, ParallelConfig(), record=config)
        trainer.fit()
        metrics = trainer.evaluate()
        if config.export_to is not None:
            trainer.export(config.export_to)
        return metrics


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
