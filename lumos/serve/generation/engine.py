"""What makes clips: jobs go in, frames come out step by step, and several may be in work at once.

    engine.submit(work)         while engine.has_room
    engine.step(tell)           a little of everything in work; tell(event) says what has happened
    engine.cancel(work.id)      from any thread; `Stopped` is told in a step

All but `cancel` are called by one thread, which owns the models.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from PIL import Image


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
    before: Path | None = None
    """A clip to go on from, whose frames come first, as they are."""
    then: Sequence[Sequence[Any]] | None = None
    """What the prompt changes to, [frame, text] each."""
    seed: int
    given: Mapping[str, Any]
    """What the pipeline is called with."""


class ModelGoneError(ValueError):
    """The model of a clip is not served; the message is for whoever asked for the clip."""


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
        """Take every clip in work a little further, a refinement or an Euler step."""
        ...

    def cancel(self, work_id: str) -> None:
        """Make no more of a clip; one that is not in work is let be."""
        ...
