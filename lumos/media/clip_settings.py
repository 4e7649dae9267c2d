"""What the settings of both models say of a clip."""

from typing import Protocol, runtime_checkable


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
        """Frames of the finished clip; 1 is an image."""
        ...
