"""A training in one command of a part that a model is made with: train, evaluate, write the weights, export."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from xllmx.disk.files import atomic_path
from xllmx.disk.place import check_new_folder
from xllmx.finite import check_weights
from xllmx.optimisation.optim import OptimConfig
from xllmx.ranks.distributed import is_main
from xllmx.ranks.parallel import ParallelConfig
from xllmx.run.failure import ended_together
from xllmx.run.folder import claimed_run
from xllmx.task import TrainTask
from xllmx.trainer import Trainer
from xllmx.trainer_config import TrainerConfig

NETWORK_FILE = "network.safetensors"
"""Weights of a finished run in its folder (averaged where the run averaged), for `init_from`."""


@runtime_checkable
class WholeConfig(Protocol):
    """What such a training is made from, besides its task."""

    @property
    def trainer(self) -> TrainerConfig:
        """Steps, batches, precision, checkpoints, logs."""
        ...

    @property
    def optim(self) -> OptimConfig:
        """Optimiser and learning rate."""
        ...

    @property
    def export_to(self) -> Path | None:
        """Folder of the export; None: none is made."""
        ...


@dataclass(frozen=True, kw_only=True)
class Part:
    """What is trained, and what is left of it."""

    task: Callable[[], TrainTask]
    """Makes the task, once the folder of the run is held."""
    inputs: Mapping[str, Path | str | None] = field(default_factory=dict)
    """What it reads, by the name of the setting: none of it is written over."""
    marks: Sequence[str]
    """Files by one of which a former export is known, which alone is written over."""
    weights_file: str | None = None
    """Name of the file for the weights, averages included, in the folder of the run."""
    keeps_stopped: bool = True
    """Whether weights and export are written of a run that was stopped, too."""


def train_whole(config: WholeConfig, part: Part, *, config_file: Path | str | None = None) -> dict[str, float]:
    """Train, evaluate and export; return the metrics on held-out data.

    Args:
        config: of the training; its record in the folder of the run.
        part: what is trained.
        config_file: where the settings came from, if from a file.

    Raises:
        ValueError: another training is at work in the folder, an output is an input, and what `Trainer` raises.
    """
    run_dir, written = config.trainer.run_dir, [] if part.weights_file is None else [part.weights_file]
    if config.export_to is not None:
        inputs: dict[str, Any] = {**part.inputs, "trainer.run_dir": run_dir}
        check_new_folder(config.export_to, inputs=inputs, marks=part.marks)
    claim = claimed_run(
        run_dir, inputs=part.inputs, config_file=config_file, written=written, store=config.trainer.store
    )
    with ended_together(run_dir), claim:
        trainer = Trainer(part.task(), config.trainer, config.optim, ParallelConfig(sharding="none"), record=config)
        is_done = trainer.fit().stopped is None
        metrics = trainer.evaluate()
        if is_done or part.keeps_stopped:
            for name in written if is_main() else []:
                with atomic_path(run_dir / name) as temporary:
                    save_file({**trainer.model.state_dict(), **trainer.ema_state()}, temporary)
            if config.export_to is not None:
                trainer.export(config.export_to)
        return metrics


def network_weights(path: Path, *, of: str) -> dict[str, Tensor]:
    """Return the weights that a finished training has left in `NETWORK_FILE`.

    Args:
        path: the file, as `task.init_from` names it.
        of: what was trained, in a word.

    Raises:
        ValueError: it is missing or no such file, or holds what is not finite.
    """
    if not path.is_file():
        raise ValueError(f"task.init_from={path} does not exist; give the {NETWORK_FILE} of a finished {of} run")
    remedy = f"give the {NETWORK_FILE} of another {of} run"
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"task.init_from={path} cannot be read ({error}); {remedy}") from error
    check_weights(tensors, path, remedy=remedy)
    return tensors
