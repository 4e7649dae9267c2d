"""Optimiser and engine of a training of Lumina-Video: the settings of every training, with the released defaults."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from xllmx.optimisation.optim_config import OptimConfig
from xllmx.settings.number_range import COUNT, SHARE, Range
from xllmx.trainer_config import TrainerConfig


@dataclass(frozen=True, kw_only=True)
class LuminaVideoOptimConfig(OptimConfig):
    """Optimiser and learning-rate schedule; the defaults are those of the released training (README section 6)."""

    lr: Annotated[float, Range(0, 1000, above=True)] = 1e-4
    """Learning rate, from the first step on unless there is a warm-up."""
    eps: Annotated[float, SHARE] = 1e-15
    """Added to the root of the running square."""
    weight_decay: Annotated[float, Range(0, 1000)] = 0.0
    """Decoupled weight decay."""


@dataclass(frozen=True, kw_only=True)
class LuminaVideoTrainerConfig(TrainerConfig):
    """How long, how much at a time, and where to; gradients and average as in the released training."""

    GLOBAL_BATCH: ClassVar[str] = "task.tasks.{stream}.global_bsz"
    BATCH: ClassVar[str] = "task.tasks.{stream}.micro_bsz"
    FEW_REPEAT: ClassVar[bool] = False

    clip_grad_norm: float = 2.0
    """Gradients are scaled down to this norm; 0 leaves them."""
    ema_decay: Annotated[float, SHARE] = 0.99
    """Average of the weights over training, used for evaluation and export; 0 is none."""
    ema_every: Annotated[int, COUNT] = 10
    """Steps between two updates of the average."""
