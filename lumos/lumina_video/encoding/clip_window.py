"""Which frames of a video are trained on where it is encoded on the way: a window of it (README section 9).

At f frames a second, of a source of r, the window has M = `most_frames` frames and begins anywhere. A clip that is
shorter gives floor(seconds f) of them, cut to pairs of latents, from its start. Frame i is round((start + i/f) r):

    24 fps -> 8 fps, start 0.026 s    1 4 7 10 ...        halves go to the even frame; all in floats, as in the release
"""

from dataclasses import dataclass
from math import floor

from lumos.media.media_error import SLOW_SOURCE, TOO_SHORT, MediaError

_PAIR = 2
"""Latents that a short clip is cut to a multiple of: the release cut it to 8 frames of 4 a latent."""


@dataclass(frozen=True, kw_only=True)
class ClipWindow:
    """How long a window is, and of what frames."""

    fps: int | float
    """f, frames a second of the window."""
    most_frames: int
    """M."""
    frames_per_latent: int
    """Of the VAE: windows are whole latents."""

    def num_listed(self, seconds: float) -> int:
        """Return the length of a clip as batches are sorted by it: its frames at f, at most M."""
        return min(floor(seconds * self.fps), self.most_frames)

    def num_frames(self, seconds: float, source_fps: float) -> int:
        """Return the frames of the window of a clip, whole latents.

        Raises:
            MediaError: the clip is too short for any, or has fewer than half of f frames a second.
        """
        if source_fps < self.fps / 2:
            raise MediaError("source", SLOW_SOURCE, f"{source_fps:g} fps, asked for {self.fps:g}")
        if seconds >= self.most_frames / self.fps:
            return self.most_frames // self.frames_per_latent * self.frames_per_latent
        unit = _PAIR * self.frames_per_latent
        found = min(floor(seconds * self.fps), self.most_frames) // unit * unit
        if not found:
            raise MediaError("source", TOO_SHORT, f"{seconds:.2f} s, at least {unit} frames at {self.fps:g} fps")
        return found

    def frames(self, length: int, *, num_frames: int, source_fps: float, draw: float) -> list[int]:
        """Return the numbers of the frames of a window of `length` frames in a source of `num_frames`.

        Args:
            length: as `num_frames` says.
            num_frames: of the source.
            source_fps: r.
            draw: in [0, 1), where in the clip the window begins.
        """
        start = draw * max(num_frames / source_fps - self.most_frames / self.fps, 0.0)
        return [min(round((start + i / self.fps) * source_fps), num_frames - 1) for i in range(length)]
