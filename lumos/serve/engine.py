"""What makes clips: jobs go in, frames come out step by step, and several may be in work at once.

    engine.submit(work)         while engine.has_room
    engine.step(tell)           a little of everything in work; tell(event) says what has happened
    engine.cancel(work.id)      from any thread; `Stopped` is told in a step

All but `cancel` are called by one thread, which owns the models. `OneByOne` makes a clip after the other by the
pipeline's own stream. An engine that batches several clips in one pass needs no more than these names.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from lumos.media.frame_stream import FrameStream
from lumos.media.inputs import pin
from lumos.serve.models import ServedModel


@dataclass(frozen=True, kw_only=True)
class Work:
    """A clip to make."""

    id: str
    """The job's."""
    model: str
    """Name of a served model."""
    prompt: str
    negative_prompt: str | None
    """None: the model's own branch without text."""
    picture: Path | None
    """First frame."""
    seed: int
    given: Mapping[str, Any]
    """What the pipeline is called with."""


@dataclass(frozen=True)
class FrameMade:
    """The next frame of a clip."""

    id: str
    image: Image.Image


@dataclass(frozen=True)
class Progressed:
    """How far a clip is."""

    id: str
    share: float


@dataclass(frozen=True)
class Made:
    """There are no more frames of a clip."""

    id: str
    model_calls: int


@dataclass(frozen=True)
class Broken:
    """A clip cannot be made."""

    id: str
    error: Exception


@dataclass(frozen=True)
class Stopped:
    """A clip was cancelled."""

    id: str


Event = FrameMade | Progressed | Made | Broken | Stopped
Tell = Callable[[Event], None]


@runtime_checkable
class Engine(Protocol):
    """What the worker asks of what makes clips."""

    @property
    def has_room(self) -> bool:
        """Whether one more clip would be taken in hand now."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in work."""
        ...

    def submit(self, work: Work) -> None:
        """Take a clip in hand; what is wrong with it is told in a step."""
        ...

    def step(self, tell: Tell) -> None:
        """Work for a while, a latent frame at most where the model makes frames one by one."""
        ...

    def cancel(self, work_id: str) -> None:
        """Make no more of a clip; one that is not in work is let be."""
        ...


class _CancelledError(Exception):
    """Raised within the model, between two refinements or steps."""


class OneByOne:
    """An engine that makes one clip after the other, as `pipeline.stream` does."""

    def __init__(self, models: Mapping[str, ServedModel]) -> None:
        """Take the models, which are loaded."""
        self._models = models
        self._work: Work | None = None
        self._frames: FrameStream | None = None
        self._cancelled: str | None = None

    @property
    def has_room(self) -> bool:
        """Whether nothing is in work."""
        return self._work is None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in work."""
        return self._work is None

    def submit(self, work: Work) -> None:
        """Take a clip in hand."""
        assert self._work is None
        self._work, self._frames, self._cancelled = work, None, None

    def cancel(self, work_id: str) -> None:
        """Make no more of a clip: it ends at the next refinement or Euler step."""
        if self._work is not None and self._work.id == work_id:
            self._cancelled = work_id

    def step(self, tell: Tell) -> None:
        """Make the next frame; of a model that makes them all at once, all of the clip."""
        work = self._work
        if work is None:
            return
        try:
            self._check()
            if self._frames is None:
                self._frames = self._begin(work, tell)
            image = next(iter(self._frames), None)
            self._check()
        except _CancelledError:
            self._end(tell, Stopped(work.id))
        except Exception as error:  # one bad job never stops the queue, whatever a model raises
            self._end(tell, Broken(work.id, error))
        else:
            if image is None:
                self._end(tell, Made(work.id, self._frames.model_calls))
            else:
                tell(FrameMade(work.id, image))

    def _begin(self, work: Work, tell: Tell) -> FrameStream:
        model = self._models[work.model]
        pin(model.pipeline.device)
        settings = model.pipeline.settings_for(work.given, image=work.picture)
        total, done = max(1, model.num_units(settings, work.picture)), 0

        def advance(number: int) -> None:
            nonlocal done
            self._check()
            done += number
            tell(Progressed(work.id, min(1.0, done / total)))

        own = {} if work.negative_prompt is None else {"negative_prompt": work.negative_prompt}
        how = {"image": work.picture, "seed": work.seed, "callback": model.watch(advance)}
        return model.pipeline.stream(work.prompt, **own, **how, **work.given)

    def _check(self) -> None:
        if self._cancelled is not None:
            raise _CancelledError

    def _end(self, tell: Tell, event: Event) -> None:
        if self._frames is not None:
            self._frames.close()
        self._work = self._frames = self._cancelled = None
        tell(event)
