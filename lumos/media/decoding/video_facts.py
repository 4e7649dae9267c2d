"""What is known of a video by its first frame and its end: its length, its rate, and its size as it is shown."""

from dataclasses import dataclass
from pathlib import Path

from lumos.media.decoding.video import Video
from lumos.media.media_error import UNDECODABLE, MediaError
from lumos.media.reading import media_errors, require_file


@dataclass(frozen=True, kw_only=True)
class VideoFacts:
    """Length, rate and size of a video."""

    seconds: float
    """From its first frame to the end of the last."""
    fps: float
    """Frames a second."""
    width: int
    """In pixels, as it is shown: upright, in the shape of its sample aspect."""
    height: int
    """Likewise."""


def video_facts(path: str | Path) -> VideoFacts:
    """Return what is known of a video, of which one frame is decoded. Raises `MediaError`."""
    with media_errors(path):
        require_file(path)
        with Video(path) as video:
            first, end = video.span()
            if not video.rate:
                raise MediaError(path, UNDECODABLE, "the file does not say its frame rate")
            height, width = video.pixels(next(video.from_start()).frame).shape[:2]
            length = float(video.seconds(end - first))
            return VideoFacts(seconds=length, fps=float(video.rate), width=width, height=height)
