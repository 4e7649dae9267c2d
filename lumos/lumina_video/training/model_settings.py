"""The model a task trains: of an architecture or a checkpoint, and of settings that win over both."""

from lumos.lumina_video.checkpoint.weights import read_config
from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.training.task_config import LuminaVideoTaskConfig


def read_model_config(config: LuminaVideoTaskConfig) -> LuminaVideoConfig:
    """Return the model's config: that of the checkpoint `init_from`, or of `architecture`, then the fields of `model`.

    Raises:
        ValueError: nothing says what model to train, or a field that no model has.
    """
    fields = {}
    if config.architecture is not None:
        fields = LuminaVideoConfig.named(config.architecture).to_dict()
    elif config.init_from is not None:
        fields = read_config(config.init_from).to_dict()
    fields |= config.model
    if not fields:
        raise ValueError(
            "no model to train: set task.architecture (for example MultiScaleNextDiT_2B_GQA), task.model (fields) or "
            "task.init_from"
        )
    return LuminaVideoConfig.from_dict(fields)
