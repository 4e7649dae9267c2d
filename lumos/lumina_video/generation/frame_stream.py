"""The frames of a clip of Lumina-Video, which is made as a whole: they come all at once, at the end."""

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from PIL import Image

from lumos.lumina_video.settings import LuminaVideoSettings

if TYPE_CHECKING:
    from lumos.lumina_video.pipeline import LuminaVideoOutput


class LateFrames:
    """One clip's frames, an iterator (`lumos.media.frame_stream.FrameStream`); the first one takes all of the time."""

    at_once = True

    def __init__(self, make: Callable[[], "LuminaVideoOutput"], *, settings: LuminaVideoSettings, seed: int) -> None:
        """Begin nothing: `make` is called when the first frame is asked for."""
        self.settings, self.seed = settings, seed
        self.model_calls = 0
        self._make = make
        self._images = self._made()

    def __iter__(self) -> "LateFrames":
        return self

    def __next__(self) -> Image.Image:
        return next(self._images)

    def close(self) -> None:
        """Make no more of it."""
        self._images.close()

    def _made(self) -> Generator[Image.Image]:
        output = self._make()
        self.model_calls = output.model_calls[0]
        yield from output.frames[0]
