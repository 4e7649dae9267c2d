"""The models of a server, loaded, and what it has to know of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from lumos.media.frame_stream import FrameStream
from lumos.media.inputs import ImageInput
from lumos.serve.faults import RequestError
from xllmx.settings.setting import suggestion


@runtime_checkable
class ClipSettings(Protocol):
    """The settings of a clip, with nothing left open, of either model."""

    @property
    def width(self) -> int:
        """Pixels."""
        ...

    @property
    def height(self) -> int:
        """Pixels."""
        ...

    @property
    def fps(self) -> int:
        """Frames per second."""
        ...

    @property
    def num_output_frames(self) -> int:
        """Frames of the finished clip."""
        ...


@runtime_checkable
class StreamingPipeline(Protocol):
    """What a server asks of a pipeline."""

    @property
    def device(self) -> torch.device:
        """Where it works."""
        ...

    def settings_for(self, given: Mapping[str, Any], *, image: ImageInput | None = None) -> ClipSettings:
        """The settings of a call; ValueError if it would be refused."""
        ...

    def check(self, prompt: str, settings: Any) -> None:
        """ValueError if a call with this prompt and these settings would be refused."""
        ...

    def stream(self, prompt: str, **words: Any) -> FrameStream:
        """The frames of one clip."""
        ...


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model that clients may name."""

    name: str
    """As clients say it; no path of the server's."""
    title: str
    """Lumos-1 or Lumina-Video."""
    pipeline: StreamingPipeline
    setting_names: tuple[str, ...]
    """Settings of a call that it takes."""
    fast: Mapping[str, Any] | None
    """Settings of its faster sampling; None where it has none."""
    presets: tuple[str, ...]
    """Names that `preset` may have; a client names no file."""
    tasks: tuple[str, ...]
    """Of t2i, t2v and i2v."""
    num_units: Callable[[ClipSettings, Path | None], int]
    """Refinements or Euler steps of a clip with such a first frame."""
    num_steps: Callable[[ClipSettings], int]
    """Steps of one pass over a latent frame, or over the clip."""
    num_seconds: Callable[[ClipSettings], float]
    """The length of a clip, as its request names it."""
    watch: Callable[[Callable[[int], None]], Callable[..., object] | None]
    """Have each number of units that is done be told; what the stream is to call back, if anything."""

    def require(self, task: str, what: str, *, param: str | None = None) -> None:
        """Check that it makes what a task asks for; RequestError where it does not."""
        if task not in self.tasks:
            able = " and ".join(self.tasks)
            fault = f"{self.name} is {self.title}, which makes {able}, and does not take {what}; name another model"
            raise RequestError(400, fault, param=param)


def find_model(models: Mapping[str, ServedModel], name: str | None) -> ServedModel:
    """Return the model of a name; None: the first one.

    Raises:
        RequestError: there is none.
    """
    if name is None:
        return next(iter(models.values()))
    if name not in models:
        fault = f"there is no model {name[:80]!a}; {suggestion(name[:80], models)}"
        raise RequestError(404, fault, param="model", code="model_not_found")
    return models[name]
