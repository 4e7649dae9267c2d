"""The frames of a clip of Lumos-1 as its latent frames are finished."""

from collections.abc import Generator

import numpy as np
from PIL import Image

from lumos.lumos1.sampling.request import FinishedFrame, OnFrame
from lumos.lumos1.sampling.settings import Settings
from lumos.media.frames import to_frames
from lumos.tokenizer.streaming import DecodingStream
from xllmx.full_memory import said_when_full


class LatentImages:
    """The images of a clip's latent frames, which come one after another: one, and then four of each.

    Of a clip that is gone on from, its own images come first; its latent frames are what the new ones are decoded
    behind, and show nothing.
    """

    def __init__(self, decode: DecodingStream, *, num_frames: int, own: np.ndarray | None = None) -> None:
        """Of a clip that has not begun: what is decoded beyond `num_frames`, `own` ones counted, is left out."""
        self._decode, self._left, self._is_going_on = decode, num_frames, own is not None
        self._own = own

    def own(self) -> list[Image.Image]:
        """Return, once, the images of the clip that is gone on from; they stand before those of a latent frame."""
        own, self._own = self._own, None
        if own is None:
            return []
        self._left -= len(own)
        return [Image.fromarray(image) for image in own]

    def __call__(self, frame: FinishedFrame) -> list[Image.Image]:
        """Return the images of the next latent frame."""
        own = self.own()
        with said_when_full("decoding", "ask for a smaller clip"):
            pixels = to_frames(self._decode(frame.codes[:, None])[0])[: self._left]
        if self._is_going_on and frame.is_given:
            return own
        self._left -= len(pixels)
        return [*own, *map(Image.fromarray, pixels)]


class LumosStream:
    """One clip's frames, an iterator: one, and then four with each latent frame (`lumos.media.frame_stream`).

    Of a clip that is gone on from, its own frames come first.

    Nothing is kept of frames that were handed out, beside what the model and the decoder look back at.
    """

    at_once = False

    def __init__(
        self,
        finished: Generator[FinishedFrame],
        decode: DecodingStream,
        *,
        settings: Settings,
        seed: int,
        frames: np.ndarray | None = None,
        callback: OnFrame | None = None,
    ) -> None:
        """Begin nothing: the first frame is made when it is asked for.

        `frames` are those of a clip that is gone on from, `callback` is that of `LumosPipeline.stream`.
        """
        self.settings, self.seed = settings, seed
        self.model_calls = 0
        self._finished, self._decode, self._callback = finished, decode, callback
        self._frames = frames
        self._images = self._made()

    def __iter__(self) -> "LumosStream":
        return self

    def __next__(self) -> Image.Image:
        return next(self._images)

    def close(self) -> None:
        """Make no more of it; what the model holds of it is free."""
        self._images.close()
        self._finished.close()

    def _made(self) -> Generator[Image.Image]:
        images = LatentImages(self._decode, num_frames=self.settings.num_output_frames, own=self._frames)
        self._frames = None
        yield from images.own()
        while (frame := self._next_latent()) is not None:
            yield from images(frame)

    def _next_latent(self) -> FinishedFrame | None:
        with said_when_full("sampling", "ask for a smaller or shorter clip, or take weights in 8 bits"):
            frame = next(self._finished, None)
        if frame is not None:
            self.model_calls = int(frame.model_calls[0])
            if self._callback is not None and not frame.is_given:
                self._callback(frame.index, frame.codes)
        return frame
