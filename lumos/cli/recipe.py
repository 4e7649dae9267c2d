"""How a model makes the outputs of a list, before it is loaded: here a model's wing is chosen for the job runner."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from lumos.cli.jobs import Recipe, SettingsFor
from lumos.cli.record import model_entries
from lumos.hub.models import ModelFiles
from lumos.lumos1.sampling.settings import settings_for
from lumos.media.inputs import choose_device, choose_dtype


def recipe_of(
    files: ModelFiles,
    given: Mapping[str, Any],
    *,
    device: str | None = None,
    dtype: str | None = None,
    weights: str | None = None,
) -> Recipe:
    """The recipe of a model's outputs.

    Args:
        files: the model.
        given: what the pipeline is called with; None = the model's default.
        device: as in `LumosPipeline.from_pretrained`, and so are the next two.
        dtype: None: bfloat16 on a GPU, float32 on a CPU.
        weights: what the blocks are rounded to.

    Raises:
        ValueError: a device or dtype that cannot be had.
    """
    chosen = str(choose_dtype(dtype, choose_device(device))).removeprefix("torch.")
    entries = model_entries(files, dtype=chosen, weights=weights)
    return Recipe(given=given, settings_for=settings_of(files), model=entries)


def settings_of(files: ModelFiles) -> SettingsFor:
    """How the settings of a call of this model are worked out while it is not loaded."""
    return partial(settings_for, files.defaults)
