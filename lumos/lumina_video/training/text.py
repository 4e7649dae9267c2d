"""Training of a small text encoder: `python -m lumos.lumina_video.training.text --config FILE key=value ...`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lumos.lumina_video.training.text_task import TextTask, TextTaskConfig
from xllmx.config import load_config
from xllmx.optim import OptimConfig
from xllmx.ranks.parallel import ParallelConfig
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


def run(config: TextRunConfig) -> dict[str, float]:
    """Train, evaluate and export; return the metrics on held-out captions."""
    trainer = Trainer(TextTask(config.task), config.trainer, config.optim, ParallelConfig(), record=config)
    trainer.fit()
    metrics = trainer.evaluate()
    if config.export_to is not None:
        trainer.export(config.export_to)
    return metrics


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status: 0, or 2 after one line that says what to mend."""
    parser = argparse.ArgumentParser(allow_abbrev=False, prog="lumos.lumina_video.training.text", description=__doc__)
    parser.add_argument("--config", help="YAML file with settings of TextRunConfig")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that win over the file's")
    options: Any = parser.parse_args(arguments)
    try:
        metrics = run(load_config(TextRunConfig, options.config, options.overrides))
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(" ".join(f"{name}={value:.4g}" for name, value in metrics.items()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
