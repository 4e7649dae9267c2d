"""What settings say of the model that is trained, and what tasks ask of it; imported without torch."""

from collections.abc import Iterable

from lumos.hub.models import named_folder
from lumos.lumina_video.checkpoint.own_config import is_ours, read_own_config
from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.training.task_config import LuminaVideoTaskConfig


def stated_model(config: LuminaVideoTaskConfig) -> LuminaVideoConfig | None:
    """Return the config of the model, as far as it is told without torch; None where it is not.

    Not told is that of a released checkpoint, whose settings are a pickle, and of what is none.

    Raises:
        ValueError: a field that no model has.
    """
    checkpoint = None
    if config.architecture is None and config.init_from is not None:
        folder = named_folder(config.init_from)
        if not is_ours(folder):
            return None
        checkpoint = read_own_config(folder)
    return merged(config, checkpoint) if config.architecture or checkpoint or config.model else None


def merged(config: LuminaVideoTaskConfig, checkpoint: LuminaVideoConfig | None) -> LuminaVideoConfig:
    """Return the model's config: that of `architecture`, or else of the checkpoint, then the fields of `model`.

    Raises:
        ValueError: nothing says what model to train, or a field that no model has.
    """
    fields = {} if checkpoint is None else checkpoint.to_dict()
    if config.architecture is not None:
        fields = LuminaVideoConfig.named(config.architecture).to_dict()
    fields |= config.model
    if not fields:
        raise ValueError(
            "no model to train: set task.architecture (for example MultiScaleNextDiT_2B_GQA), task.model (fields) or "
            "task.init_from"
        )
    return LuminaVideoConfig.from_dict(fields)


def check_scales(config: LuminaVideoTaskConfig, model: LuminaVideoConfig) -> None:
    """Check that the model has the scale of every task.

    Raises:
        ValueError: it has not; names the task, and the scales there are.
    """
    for group, tasks in (("tasks", config.tasks), ("eval_tasks", config.eval_tasks)):
        for name, task in tasks.items():
            try:
                model.scale(task.scale)
            except ValueError as error:
                raise ValueError(
                    f"task.{group}.{name}: {error}, or add it to all_patch_size and all_f_patch_size of task.model"
                ) from error


def check_channels(key: str, channels: Iterable[int], model: LuminaVideoConfig) -> None:
    """Check that the model takes latents of so many channels; `key` of their task is in errors.

    Raises:
        ValueError: it does not.
    """
    if other := set(channels) - {model.in_channels}:
        raise ValueError(
            f"{key}: its latents have {other.pop()} channels, the model in_channels={model.in_channels}: they "
            "are of another VAE; encode the clips with the VAE of this model"
        )
