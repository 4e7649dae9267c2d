"""Training of the visual tokenizer from a config: `python -m lumos.tokenizer.training --config FILE key=value ...`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file

from lumos.tokenizer.task import NETWORK_FILE, TokenizerTask, TokenizerTaskConfig
from xllmx.config import load_config
from xllmx.files import atomic_path
from xllmx.optim import OptimConfig
from xllmx.ranks.parallel import ParallelConfig
from xllmx.trainer import Trainer, TrainerConfig


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


def run(config: TokenizerRunConfig) -> dict[str, float]:
    """Train, evaluate and export; return the metrics on held-out clips."""
    task = TokenizerTask(config.task, export_dtype=getattr(torch, config.export_dtype))
    trainer = Trainer(task, config.trainer, config.optim, ParallelConfig(), record=config)
    result = trainer.fit()
    metrics = trainer.evaluate()
    if result.stopped is None:
        weights = {**trainer.model.state_dict(), **trainer.ema_state()}
        with atomic_path(config.trainer.run_dir / NETWORK_FILE) as temporary:
            save_file(weights, temporary)
        if config.export_to is not None:
            trainer.export(config.export_to)
    return metrics


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 2 after one line that says what to mend."""
    parser = argparse.ArgumentParser(allow_abbrev=False, prog="lumos.tokenizer.training", description=__doc__)
    parser.add_argument("--config", help="YAML file with settings of TokenizerRunConfig")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that win over the file's")
    options: Any = parser.parse_args(arguments)
    try:
        metrics = run(load_config(TokenizerRunConfig, options.config, options.overrides))
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(" ".join(f"{name}={value:.4g}" for name, value in metrics.items()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
