"""The settings of a training run of either model, from a config and words; imported without torch.

The config's key `model` says which of the two models is trained; each has settings of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from lumos.cli.training.config_file import check_config_file
from lumos.cli.training.preview_config import PreviewConfig
from lumos.hub.bundled import file_or_bundled
from lumos.hub.models import LUMINA_VIDEO, LUMOS1
from lumos.lumina_video.training.lora import LoRAConfig as LuminaVideoLoRAConfig
from lumos.lumina_video.training.run_settings import LuminaVideoOptimConfig, LuminaVideoTrainerConfig
from lumos.lumina_video.training.task_config import LuminaVideoTaskConfig
from lumos.lumos1.model.lora import LoRAConfig
from lumos.lumos1.training.task_config import LumosTaskConfig
from xllmx.optimisation.optim_config import OptimConfig
from xllmx.ranks.parallel_config import ParallelConfig
from xllmx.safe.yaml_text import read_yaml
from xllmx.settings.config import load_config
from xllmx.settings.setting import suggestion
from xllmx.trainer_config import TrainerConfig


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
        ValueError: as `load_config`; or it is something else (`check_config_file`), or names no model.
    """
    path = None if path is None else file_or_bundled(path)
    if path is not None:
        check_config_file(path)
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


def data_of(config: AnyRun) -> dict[str, str]:
    """Return the paths of all data of a run, those to train on and held-out ones, by the setting that names each."""
    if isinstance(config, LuminaVideoRunConfig):
        groups = {"tasks": config.task.tasks, "eval_tasks": config.task.eval_tasks}
        return {f"task.{group}.{name}.data": one.data for group, of in groups.items() for name, one in of.items()}
    groups_of_paths = {"data": config.task.data, "eval_data": config.task.eval_data}
    return {f"task.{group}.{name}": path for group, of in groups_of_paths.items() for name, path in of.items()}
