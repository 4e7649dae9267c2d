"""A clip that is made step by step beside others, and what is said of it: the queue of both models (README)."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable


@runtime_checkable
class Job(Protocol):
    """One clip on its way: what it has made is handed out when a step has finished it."""

    @property
    def is_done(self) -> bool:
        """Whether there is no step left."""
        ...

    @property
    def progress(self) -> float:
        """The share of the work that is done, from 0 to 1."""
        ...

    @property
    def model_calls(self) -> int:
        """Passes of the network so far, each branch of the guidance counted."""
        ...

    def advance(self) -> list[Any]:
        """Go one step; return the parts of the clip that it finished, often none."""
        ...

    def close(self) -> None:
        """Let go of all that is held; there is no further step."""
        ...


@dataclass(frozen=True)
class Ticket:
    """Names a job that was handed in."""

    number: int
    """Counts them, from 0."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """A part of a clip is finished."""

    ticket: Ticket
    """Whose."""
    value: Any
    """What the job hands out: a latent frame, or images."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Done:
    """A clip is finished; its parts were handed out before."""

    ticket: Ticket
    """Whose."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Failed:
    """A clip cannot be finished; the others are."""

    ticket: Ticket
    """Whose."""
    error: Exception
    """Why."""


Event: TypeAlias = Part | Done | Failed
