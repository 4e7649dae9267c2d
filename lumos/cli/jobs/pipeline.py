"""What the runner asks of a model and of its settings; every model answers it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from PIL import Image

from lumos.media.clip_settings import ClipSettings


@runtime_checkable
class Settings(ClipSettings, Protocol):
    """The settings of one output, with nothing left open, and as they are written down."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they stand in a record; a call with them makes the same again."""
        ...


@runtime_checkable
class PipelineOutput(Protocol):
    """What a call of a pipeline made, one entry an output in every list."""

    @property
    def frames(self) -> list[list[Image.Image]]:
        """The frames of each."""
        ...

    @property
    def seeds(self) -> list[int]:
        """What makes each again."""
        ...

    @property
    def model_calls(self) -> list[int]:
        """Passes of the model that each took."""
        ...


@runtime_checkable
class LoadedModel(Protocol):
    """What every model answers that makes outputs."""

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        ...

    def check(self, prompt: Any, settings: Any) -> None:
        """ValueError if a call with this prompt and these settings (its own `Settings`) would be refused."""
        ...


@runtime_checkable
class Pipeline(LoadedModel, Protocol):
    """All that the runner asks of a model."""

    def __call__(
        self,
        prompt: Sequence[Any],
        *,
        image: Sequence[Path | None],
        negative_prompt: Sequence[str | None],
        seed: Sequence[int],
        callback: Callable[..., None] | None,
        **settings: Any,
    ) -> PipelineOutput:
        """One output a prompt; an output with a seed is the same in any batch, up to floating point."""
        ...


@runtime_checkable
class SettingsFor(Protocol):
    """The settings of a call, worked out without the model: `LumosPipeline.settings_for` before it is loaded."""

    def __call__(self, given: Mapping[str, Any], *, image: Path | Image.Image | None) -> Settings:
        """`given` filled up from the model's defaults; a first frame sets the size that is not given. ValueError."""
        ...
