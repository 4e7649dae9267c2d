"""Training from a config: `python -m lumos.train --config configs/train/debug.yaml trainer.max_steps=100`.

The config's key `model` says which of the two models is trained; each has settings of its own.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from lumos.cli.training.memory_remedies import naming_what_to_lower, remedies
from lumos.cli.training.preview import PreviewConfig, PromptPreview
from lumos.cli.training.released_flags import translated
from lumos.hub.bundled import file_or_bundled
from lumos.hub.models import LUMINA_VIDEO, LUMOS1, named_folder
from lumos.lumina_video.training.lora import LoRAConfig as LuminaVideoLoRAConfig
from lumos.lumina_video.training.run_settings import LuminaVideoOptimConfig, LuminaVideoTrainerConfig
from lumos.lumina_video.training.task import LuminaVideoTask, LuminaVideoTaskConfig
from lumos.lumos1.model.lora import LoRAConfig
from lumos.lumos1.training.task import LumosTask, LumosTaskConfig
from lumos.media.data_yaml import entries_of
from xllmx.optimisation.optim import OptimConfig
from xllmx.ranks.distributed import launched_local_rank, launched_ranks
from xllmx.ranks.parallel import ParallelConfig
from xllmx.run.exit_status import USER_ERROR, status_of
from xllmx.run.failure import ended_together
from xllmx.run.folder import claimed_run
from xllmx.run.option_parser import OptionParser
from xllmx.safe.yaml_text import read_yaml
from xllmx.settings.config import load_config
from xllmx.settings.setting import suggestion
from xllmx.store.address import location_of
from xllmx.trainer import FitResult, Trainer, TrainerConfig


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything a training run of Lumos-1 is made from; written into the run folder as it was resolved."""

    model: Literal["lumos1"] = "lumos1"
    """Which model."""
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


@dataclass(frozen=True, kw_only=True)
class LuminaVideoRunConfig:
    """Everything a training run of Lumina-Video is made from; written into the run folder as it was resolved.

    Raises:
        ValueError: batches or turns given in `trainer`; the tasks say them here.
    """

    model: Literal["lumina_video"] = "lumina_video"
    """Which model."""
    trainer: LuminaVideoTrainerConfig
    """Steps, precision, checkpoints, logs; batches and ratios are those of `task.tasks`."""
    optim: LuminaVideoOptimConfig = field(default_factory=LuminaVideoOptimConfig)
    """Optimiser and learning rate."""
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    """Activation checkpointing, compilation."""
    task: LuminaVideoTaskConfig = field(default_factory=LuminaVideoTaskConfig)
    """Model, tasks, loss."""
    lora: LuminaVideoLoRAConfig = field(default_factory=LuminaVideoLoRAConfig)
    """Adapters in place of whole weights; off unless lora.rank is set."""

    def __post_init__(self) -> None:
        for name, ours in (("batch_size", "micro_bsz"), ("global_batch_size", "global_bsz"), ("schedule", "task_ratio"),
                           ("together", "task_ratio"), ("eval_batch_size", "micro_bsz")):  # fmt: skip
            if getattr(self.trainer, name):
                raise ValueError(f"trainer.{name} has no part here; set {ours} of each task in task.tasks")
        for name, task in self.task.eval_tasks.items():
            trained = self.task.tasks.get(name)
            if trained is not None and task.micro_bsz not in (1, trained.micro_bsz):
                raise ValueError(
                    f"task.eval_tasks.{name}.micro_bsz is {task.micro_bsz}, and a held-out task has the batches of the "
                    f"training task of its name ({trained.micro_bsz}); leave it out, or give the task a name of its own"
                )

    @property
    def engine_settings(self) -> LuminaVideoTrainerConfig:
        """The settings of the engine, with those that the tasks say."""
        tasks, held_out = self.task.tasks, self.task.eval_tasks
        workers = [task.num_workers for task in tasks.values()]
        return replace(
            self.trainer,
            batch_size={name: task.micro_bsz for name, task in tasks.items()},
            eval_batch_size={name: task.micro_bsz for name, task in held_out.items() if name not in tasks},
            global_batch_size={name: task.global_bsz for name, task in tasks.items() if task.global_bsz is not None},
            together={name: task.task_ratio for name, task in tasks.items()},
            num_workers=max([self.trainer.num_workers, *workers]),
        )


AnyRun = RunConfig | LuminaVideoRunConfig
"""The settings of a run of either model."""

RUN_CONFIGS: dict[str, type[RunConfig] | type[LuminaVideoRunConfig]] = {
    LUMOS1: RunConfig,
    LUMINA_VIDEO: LuminaVideoRunConfig,
}


def load_run(path: Path | str | None, overrides: Sequence[str] = ()) -> AnyRun:
    """Return the settings of a run, as `load_config` reads them, of the model that the key `model` names.

    A file that is not there is looked for among those that come with the code, `configs/train/quickstart.yaml` and on.

    Raises:
        ValueError: as `load_config`; or it names no model.
    """
    path = None if path is None else file_or_bundled(path)
    named = model_named(path, overrides)
    if named not in RUN_CONFIGS:
        raise ValueError(f"model is {named!r}, which is none to train; {suggestion(str(named), RUN_CONFIGS)}")
    try:
        return load_config(RUN_CONFIGS[named], path, overrides)
    except ValueError as error:
        if str(error).startswith("unknown setting"):
            raise ValueError(f"{error} (lumos train --keys lists all)") from error
        raise


def model_named(path: Path | str | None, overrides: Sequence[str] = ()) -> str:
    """Return which model a config trains: what `model` says in the overrides or the file; Lumos-1 if nothing does.

    A file is found as `load_run` finds it.
    """
    for word in reversed(overrides):
        if word.startswith("model="):
            return word.partition("=")[2].strip()
    if path is None or not (file := file_or_bundled(path)).is_file():
        return LUMOS1
    try:
        found = read_yaml(file)
    except ValueError:  # for `load_config` to say
        return LUMOS1
    return str(found.get("model", LUMOS1)) if isinstance(found, dict) else LUMOS1


def build_task(config: AnyRun) -> Any:
    """Return the task of a run, as it is trained and as its checkpoints are read."""
    if isinstance(config, LuminaVideoRunConfig):
        return LuminaVideoTask(config.task, lora=config.lora)
    return LumosTask(config.task, lora=config.lora)


def run(config: AnyRun, *, config_file: Path | str | None = None) -> FitResult:
    """Return how the run ended; trains as the config says, on from the newest checkpoint in its run folder.

    `config_file` is where the settings came from.

    Raises:
        ValueError: another training is at work in the folder, memory is full, and what `Trainer` raises.
    """
    with ended_together(config.trainer.run_dir), naming_what_to_lower(_remedies(config)):
        task, preview = build_task(config), None
        where: dict[str, Any] = {"inputs": _inputs(config), "config_file": config_file, "store": config.trainer.store}
        with claimed_run(config.trainer.run_dir, **where):
            if isinstance(config, RunConfig) and config.samples.every:
                folder = config.trainer.run_dir / "samples"
                preview = PromptPreview(config.samples, folder, init_from=config.task.init_from)
            settings = config.engine_settings if isinstance(config, LuminaVideoRunConfig) else config.trainer
            trainer = Trainer(task, settings, config.optim, config.parallel, record=config, preview=preview)
            return trainer.fit()


def _inputs(config: AnyRun) -> dict[str, str | None]:
    """What the training reads, by the setting that names it."""
    if isinstance(config, LuminaVideoRunConfig):
        groups = {"tasks": config.task.tasks, "eval_tasks": config.task.eval_tasks}
        data = {f"task.{group}.{name}.data": one.data for group, of in groups.items() for name, one in of.items()}
        models = {f"task.{name}": getattr(config.task, name) for name in ("init_from", "text_encoder", "vae")}
    else:
        data = {f"task.data.{stream}": path for stream, path in config.task.data.items()}
        data |= {f"task.eval_data.{stream}": path for stream, path in config.task.eval_data.items()}
        models = {"task.init_from": config.task.init_from, "samples.tokenizers": config.samples.tokenizers}
    named = {f"the model {name}": str(named_folder(model)) for name, model in models.items() if model is not None}
    return {**named, **{name: path for setting, path in data.items() for name, path in _sets_of(setting, path)}}


def _sets_of(setting: str, path: str) -> list[tuple[str, str]]:
    """Return what a setting of data names, and each set that a data YAML lists, by what to call it."""
    sets = [(setting, path)] if path else []
    with suppress(ValueError, OSError):  # one that cannot be read, or is not there: for the task to say
        entries = entries_of(location_of(path)) if path.endswith((".yaml", ".yml")) else []
        sets += [(f"entry {number} of {setting}", str(entry.path)) for number, entry in enumerate(entries, 1)]
    return sets


def _remedies(config: AnyRun) -> str:
    """What to lower when memory is full."""
    if isinstance(config, LuminaVideoRunConfig):
        batches = {f"task.tasks.{name}.micro_bsz": task.micro_bsz for name, task in config.task.tasks.items()}
        return remedies(batches, config.parallel, shorter="lower max_frames or image_size of task.tasks")
    batches = {f"trainer.batch_size.{name}": number for name, number in config.trainer.batch_size.items()}
    shorter = "shorten clips (task.duration_s, or task.max_length with task.too_long=cut)"
    return remedies(batches, config.parallel, shorter=shorter)


def unused_gpus(config: AnyRun, words: str) -> str | None:
    """Return how to use all GPUs of this machine, where there are several and one process trains on one; else None.

    `words` are those of the training, as a shell takes them.
    """
    if launched_ranks() > 1 or config.trainer.device not in ("auto", "cuda"):
        return None
    number = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if number < 2:
        return None
    batches = f"a step then has {number} times the samples, unless a global batch is set"
    return (
        f"this trains on one of the {number} GPUs here; all of them: torchrun --standalone --nproc-per-node {number} "
        f"-m lumos.train {words} ({batches}; with CUDA_VISIBLE_DEVICES=0 this line is not said)"
    )


def stopped_status(reason: str) -> int:
    """Return the exit status of a run that was stopped before its last step, so that no script goes on; says so once.

    `reason` is `FitResult.stopped`. A run whose time is up (`trainer.max_minutes`) ended as it was told to: 0.
    """
    if launched_local_rank() == 0:
        sys.stderr.write(f"stopped by {reason} before the last step; the same command goes on from the checkpoint\n")
    return 128 + signal.Signals[reason].value if reason in signal.Signals.__members__ else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`): 0, 2 after one line, or 128 and the number of a signal."""

    def train() -> int:
        try:
            parser = _parser()
            words = translated(
                sys.argv[1:] if arguments is None else arguments, own=list(parser._option_string_actions)
            )
            options = parser.parse_args(words.words)
            words.say()
            stopped = run(load_run(options.config, options.overrides), config_file=options.config).stopped
        except (ValueError, OSError):
            if launched_local_rank():  # once a machine: the file may be missing on one of them alone
                return USER_ERROR
            raise
        return stopped_status(stopped) if stopped else 0

    return status_of("lumos.train", train, words=arguments)


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="lumos.train", description=__doc__)
    parser.add_argument("--config", help="YAML file with the settings of a run")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that win over the file's")
    where = "lumos/lumos1/README.md, section 13; of Lumina-Video lumos/lumina_video/README.md, section 6"
    parser.add_argument_group("and the flags of the released scripts", where)
    return parser
