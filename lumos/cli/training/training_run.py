"""Training from a config: `python -m lumos.train --config configs/train/debug.yaml trainer.max_steps=100`."""

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lumos.cli.exit_status import USER_ERROR, status_of
from lumos.cli.option import OptionParser
from lumos.cli.training.preview import PreviewConfig, PromptPreview
from lumos.lumos1.model.lora import LoRAConfig
from lumos.lumos1.training.task import LumosTask, LumosTaskConfig
from xllmx.config import load_config
from xllmx.optim import OptimConfig
from xllmx.ranks.distributed import launched_local_rank
from xllmx.ranks.parallel import ParallelConfig
from xllmx.run.failure import ended_together
from xllmx.run.folder import claimed_run
from xllmx.trainer import FitResult, Trainer, TrainerConfig


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything a training run is made from; written into the run folder as it was resolved."""

    trainer: TrainerConfig
    """Steps, batches, precision, checkpoints, logs."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and learning rate."""
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    """Activation checkpointing, compilation."""
    task: LumosTaskConfig = field(default_factory=LumosTaskConfig)
    """Model, data, masks, loss."""
    lora: LoRAConfig = field(default_factory=LoRAConfig)
    """Adapters in place of whole weights; off unless lora.rank is set."""
    samples: PreviewConfig = field(default_factory=PreviewConfig)
    """Clips made while training; off unless samples.every is set."""


def build_task(config: RunConfig) -> LumosTask:
    """Return the task of a run, as it is trained and as its checkpoints are read."""
    return LumosTask(config.task, lora=config.lora)


def run(config: RunConfig, *, config_file: Path | str | None = None) -> FitResult:
    """Return how the run ended; trains as the config says, on from the newest checkpoint in its run folder.

    `config_file` is where the settings came from.

    Raises:
        ValueError: another training is at work in the folder, and what `Trainer` raises.
    """
    with ended_together(config.trainer.run_dir):
        task, preview = build_task(config), None
        with claimed_run(config.trainer.run_dir, inputs=_inputs(config), config_file=config_file):
            if config.samples.every:
                folder = config.trainer.run_dir / "samples"
                preview = PromptPreview(config.samples, folder, init_from=config.task.init_from)
            trainer = Trainer(task, config.trainer, config.optim, config.parallel, record=config, preview=preview)
            return trainer.fit()


def _inputs(config: RunConfig) -> dict[str, str | None]:
    """What the training reads, by the setting that names it."""
    data = {f"task.data.{stream}": path for stream, path in config.task.data.items()}
    held_out = {f"task.eval_data.{stream}": path for stream, path in config.task.eval_data.items()}
    return {"the model task.init_from": config.task.init_from, **data, **held_out}


def stopped_status(reason: str) -> int:
    """Return the exit status of a run that was stopped before its last step, so that no script goes on; says so once.

    `reason` is `FitResult.stopped`. A run whose time is up (`trainer.max_minutes`) ended as it was told to: 0.
    """
    if launched_local_rank() == 0:
        sys.stderr.write(f"stopped by {reason} before the last step; the same command goes on from the checkpoint\n")
    return 128 + signal.Signals[reason].value if reason in signal.Signals.__members__ else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`lumos.cli.exit_status`): 0, 2 after one line, or 128 and the number of a signal."""

    def train() -> int:
        try:
            options = _parser().parse_args(arguments)
            config = load_config(RunConfig, options.config, options.overrides)
            stopped = run(config, config_file=options.config).stopped
        except (ValueError, OSError):
            if launched_local_rank():  # once a machine: the file may be missing on one of them alone
                return USER_ERROR
            raise
        return stopped_status(stopped) if stopped else 0

    return status_of("lumos.train", train, words=arguments)


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="lumos.train", description=__doc__)
    parser.add_argument("--config", help="YAML file with settings of RunConfig")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that win over the file's")
    return parser
