"""The models of a server, loaded, and what it has to know of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from lumos.conventions.job import Job
from lumos.media.clip_settings import ClipSettings
from lumos.media.first_frames import FirstInput
from lumos.serve.faults import RequestError
from lumos.serve.generation.engine import Work
from xllmx.settings.setting import suggestion


@runtime_checkable
class ServedPipeline(Protocol):
    """What a server asks of a pipeline before it accepts a job."""

    def settings_for(self, given: Mapping[str, Any], *, image: FirstInput | None = None) -> ClipSettings:
        """The settings of a call; ValueError if it would be refused."""
        ...

    def check(self, prompt: Any, settings: Any) -> None:
        """ValueError if a call with this prompt and these settings would be refused."""
        ...


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model that clients may name."""

    name: str
    """As clients say it; no path of the server's."""
    title: str
    """Lumos-1 or Lumina-Video."""
    pipeline: ServedPipeline
    setting_names: tuple[str, ...]
    """Settings of a call that it takes."""
    fast: Mapping[str, Any] | None
    """Settings of its faster sampling; None where it has none."""
    presets: tuple[str, ...]
    """Names that `preset` may have; a client names no file."""
    tasks: tuple[str, ...]
    """Of t2i, t2v and i2v."""
    changes_prompts: bool
    """Whether a prompt may change while a clip is made."""
    num_steps: Callable[[ClipSettings], int]
    """Steps of one pass over a latent frame, or over the clip."""
    num_seconds: Callable[[ClipSettings], float]
    """The length of a clip, as its request names it."""
    begin: Callable[[Work], Job]
    """A clip on its way, whose parts are images; ValueError where it cannot be made."""

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
