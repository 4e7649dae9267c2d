"""A clip that is handed out while it is made: what the streams of both models have in common."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from PIL import Image


@runtime_checkable
class FrameStream(Protocol):
    """The frames of one clip, an iterator; work is done when the next frame is asked for.

    for frame in pipeline.stream("a red circle moves to the right", seed=1):
        show(frame)
    """

    @property
    def settings(self) -> Any:
        """What the clip is made with: the pipeline's own `Settings`."""
        ...

    @property
    def seed(self) -> int:
        """What makes the clip again."""
        ...

    @property
    def at_once(self) -> bool:
        """Whether all frames come together, at the end."""
        ...

    @property
    def model_calls(self) -> int:
        """Passes of the model so far; of the whole clip once there are no more frames."""
        ...

    def __iter__(self) -> Iterator[Image.Image]:
        """Itself."""
        ...

    def __next__(self) -> Image.Image:
        """The next frame, made now."""
        ...

    def close(self) -> None:
        """Make no more of it."""
        ...
