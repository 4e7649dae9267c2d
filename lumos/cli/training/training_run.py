"""A training run of either model, made from its settings (`lumos.cli.training.run_config`)."""

import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from lumos.cli.training.memory_remedies import naming_what_to_lower, remedies
from lumos.cli.training.preview import PromptPreview
from lumos.cli.training.run_config import RUN_CONFIGS as RUN_CONFIGS
from lumos.cli.training.run_config import AnyRun, LuminaVideoRunConfig, RunConfig, data_of
from lumos.cli.training.run_config import load_run as load_run
from lumos.cli.training.run_config import model_named as model_named
from lumos.cli.training.train_program import main as main
from lumos.hub.models import named_folder
from lumos.lumina_video.training.task import LuminaVideoTask
from lumos.lumos1.training.task import LumosTask
from lumos.media.sets.data_yaml import entries_of
from xllmx.ranks.distributed import is_main
from xllmx.ranks.launched import launched_local_rank, launched_rank, launched_ranks
from xllmx.run.failure import ended_together
from xllmx.run.folder import claimed_run
from xllmx.store.address import location_of
from xllmx.trainer import FitResult, Trainer


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
            _say_if_finished(trainer)
            return trainer.fit()


def _say_if_finished(trainer: Trainer) -> None:
    """Say of a run that has done its steps before where it stands, and what can be done with it."""
    config, setting = trainer.config, "trainer.epochs" if trainer.config.epochs else "trainer.max_steps"
    if trainer.step < trainer.max_steps or not is_main():
        return
    stands = f"stands at step {trainer.step} of {trainer.max_steps}"
    own = trainer.checkpoints.newest()
    if own is None and config.resume_path is not None:
        sys.stderr.write(
            f"trainer.resume_path {config.resume_path} {stands}, and there is nothing to train. To go on from it, "
            f"raise {setting}\n"
        )
        return
    sys.stderr.write(
        f"{config.run_dir} is finished: it {stands}{'' if own is None else f' (its checkpoint: {own})'}, and there is "
        f"nothing to train. To go on, raise {setting}; to use it: lumos export {shlex.quote(str(config.run_dir))} "
        "FOLDER\n"
    )


def _inputs(config: AnyRun) -> dict[str, str | None]:
    """What the training reads, by the setting that names it."""
    if isinstance(config, LuminaVideoRunConfig):
        models = {f"task.{name}": getattr(config.task, name) for name in ("init_from", "text_encoder", "vae")}
    else:
        models = {"task.init_from": config.task.init_from, "samples.tokenizers": config.samples.tokenizers}
    named = {f"the model {name}": str(named_folder(model)) for name, model in models.items() if model is not None}
    return {
        **named,
        **{name: path for setting, path in data_of(config).items() for name, path in _sets_of(setting, path)},
    }


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


def say_done(config: AnyRun) -> None:
    """Say where a run that did its last step lies, and what makes a model of it; once, of however many processes."""
    if launched_rank() == 0:
        run_dir = str(config.trainer.run_dir)
        print(f"{run_dir}  (a model folder: lumos export {shlex.quote(run_dir)} FOLDER)")


def stopped_status(reason: str) -> int:
    """Return the exit status of a run that was stopped before its last step, so that no script goes on; says so once.

    `reason` is `FitResult.stopped`. A run whose time is up (`trainer.max_minutes`) ended as it was told to: 0.
    """
    if launched_local_rank() == 0:
        sys.stderr.write(f"stopped by {reason} before the last step; the same command goes on from the checkpoint\n")
    return 128 + signal.Signals[reason].value if reason in signal.Signals.__members__ else 0
