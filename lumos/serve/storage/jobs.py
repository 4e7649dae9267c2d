"""What a client asked for, and how far it is: one row of the store (`lumos.serve.storage.store`)."""

import dataclasses
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["queued", "in_progress", "completed", "failed"]
"""The four words that OpenAI's clients know."""
UNFINISHED: tuple[Status, ...] = ("queued", "in_progress")

Kind = Literal["video", "image"]

_ID = re.compile(r"(video|image)_[0-9a-f]{32}")


def new_id(kind: Kind) -> str:
    """Return an id that nobody can guess: `video_` and 32 hex digits."""
    return f"{kind}_{secrets.token_hex(16)}"


def is_id(text: str) -> bool:
    """Whether a text is an id as `new_id` makes them, and so may stand in the name of a file."""
    return _ID.fullmatch(text) is not None


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """All that makes a clip, checked; plain values, so that it can be kept as JSON."""

    model: str
    """Name of a served model."""
    prompt: str
    negative_prompt: str | None = None
    """None: the model's own branch without text."""
    seed: int
    """Drawn when the request came, so that a job that begins again makes the same clip."""
    given: Mapping[str, Any]
    """What the pipeline is called with."""
    width: int
    """Pixels of the clip."""
    height: int
    """Pixels of the clip."""
    num_frames: int
    """Frames of the whole file."""
    fps: int
    """Frames a second."""
    num_seconds: float
    """The length of the clip as its request names it; the frames of its last latent frame may be more."""
    num_before: int = 0
    """Frames of the clip that is made longer, which stand before the new ones."""
    then: list[list[Any]] | None = None
    """What the prompt changes to, [frame, text] each."""
    has_picture: bool = False
    """Whether the clip begins with a picture, kept in a file of the job's own."""
    remixed_from: str | None = None
    """The video whose request this is, with another prompt."""
    sent: str | None = None
    """Digest of all that the client sent, where it named the request by an Idempotency-Key."""

    @property
    def seconds(self) -> str:
        """The length of the clip as OpenAI's clients read it: "2", "0.5"."""
        return f"{self.num_seconds:.3f}".rstrip("0").rstrip(".")

    def as_json(self) -> str:
        """Return it as text that `from_json` reads."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "JobRequest":
        """Return what `as_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True, kw_only=True)
class Job:
    """A request with its id and its state."""

    id: str
    kind: Kind
    status: Status
    request: JobRequest
    created_at: float
    """Unix seconds, as all times here."""
    started_at: float | None = None
    """When it was begun for the first time."""
    completed_at: float | None = None
    """When it was finished or failed."""
    expires_at: float | None = None
    """When it goes, with its files."""
    attempts: int = 0
    """How often it was begun."""
    error: Mapping[str, str] | None = None
    """`code` and `message` of one that failed."""
    outcome: Mapping[str, Any] = field(default_factory=dict)
    """What is known of a finished one: passes of the model, seconds."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status not in UNFINISHED
