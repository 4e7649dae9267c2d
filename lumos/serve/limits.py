"""What one request and the whole queue may ask for."""

from dataclasses import dataclass
from typing import Annotated, Any

from lumos.serve.faults import RequestError
from xllmx.settings.number_range import COUNT, Range, check_numbers

_MIB = 2**20
LONGEST_PROMPT = 10_000
"""Characters; what a model reads of it is said by the model."""
LONGEST_CHANGES = 50_000
"""Characters of all that a prompt changes to, together: every answer about the video says them."""
LONGEST_MESSAGE = 600
"""Characters of what a client is told is wrong; some of it may be what it sent."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds that hold for every client.

    Raises:
        SettingError: a number outside its range.
    """

    most_pixels: Annotated[int, Range(1, 2**26)] = 1280 * 736
    """Of a frame."""
    most_frames: Annotated[int, Range(1, 100_000)] = 512
    """Of a video; one that is made longer counts from its beginning."""
    most_steps: Annotated[int, Range(1, 10_000)] = 200
    """Refinements of a latent frame, or Euler steps."""
    most_queued: Annotated[int, Range(1, 10**6)] = 100
    """Jobs that wait."""
    at_once: Annotated[int, Range(1, 1000)] = 4
    """Jobs in work together; what each holds of keys and values is in memory."""
    most_upload_mib: Annotated[int, Range(1, 4096)] = 32
    """Of the body of a request."""
    keep_hours: Annotated[float, Range(0, 10**6, above=True)] = 24.0
    """For which a finished job and its files are there."""
    drain_seconds: Annotated[float, Range(0, 10**6)] = 60.0
    """For which the jobs in work are waited for after SIGTERM; they begin again with the next start."""
    most_viewers: Annotated[int, COUNT] = 200
    """Connections that watch frames at once."""

    def __post_init__(self) -> None:
        check_numbers(self)

    @property
    def most_upload_bytes(self) -> int:
        """Of the body of a request."""
        return self.most_upload_mib * _MIB

    def check_clip(self, settings: Any, *, num_steps: int, said_by: str = "size") -> None:
        """Check the settings of a clip (`lumos.media.clip_settings.ClipSettings`); `said_by` is what said its size.

        Raises:
            RequestError: it is larger, longer or takes more steps than this server makes.
        """
        if (pixels := settings.width * settings.height) > self.most_pixels:
            asked = f"{settings.width}x{settings.height} is {pixels} pixels"
            raise RequestError(413, f"{asked}; this server makes at most {self.most_pixels} a frame", param=said_by)
        if (frames := settings.num_output_frames) > self.most_frames:
            said = f"{frames} frames are asked for; this server makes at most {self.most_frames}"
            raise RequestError(413, f"{said}: ask for fewer seconds", param="seconds")
        if num_steps > self.most_steps:
            said = f"{num_steps} steps are asked for; this server makes at most {self.most_steps}"
            raise RequestError(413, said, param="num_inference_steps")
