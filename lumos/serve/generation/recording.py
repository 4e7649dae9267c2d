"""Frames of a job -> its files, while they come: the video, a thumbnail of its first frame, a sheet of some frames."""

import io
import math
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
from PIL import Image

from lumos.media.writing import video_writer, write_image
from lumos.serve.storage import files
from lumos.serve.storage.files import JobFiles
from lumos.serve.storage.jobs import Job
from xllmx.disk.files import atomic_path

_SHEET_FRAMES, _SHEET_COLUMNS = 25, 5
_SMALL_PX = 256
"""Longer side of a thumbnail and of the frames of a sheet."""
_WEBP = {"format": "WEBP", "quality": 90, "method": 2}
FRAME_TYPE = "image/webp"
"""Of `encoded`."""


def encoded(image: Image.Image) -> bytes:
    """Return a frame as viewers are sent it."""
    file = io.BytesIO()
    image.save(file, **_WEBP)  # type: ignore[arg-type]
    return file.getvalue()


class Recording:
    """The files of one job, being written. Raises `WriteError` where the disk is full."""

    def __init__(self, job: Job, kept: JobFiles) -> None:
        """Begin; no frame is there yet."""
        self.job = job
        self.num_new = 0
        """Frames that the model has made."""
        self._files, self._opened = kept, ExitStack()
        self._add: Callable[[np.ndarray], None] | None = None
        self._number = 0
        self._small: list[Image.Image] = []
        self._shown = _spread(job.request.num_frames, _SHEET_FRAMES)
        kept.make(job.id)
        if job.kind == "video":
            self._add = self._opened.enter_context(video_writer(kept.of(job.id, files.VIDEO), fps=job.request.fps))

    def add(self, image: Image.Image) -> bool:
        """Write the next frame; return whether it is new, and not of the clip that is made longer."""
        is_new = self._number >= self.job.request.num_before
        self._write(image)
        self.num_new += is_new
        return is_new

    def finish(self) -> None:
        """Give all files their names, the video's at last."""
        place = self._files.of(self.job.id, files.THUMBNAIL)
        if self.job.kind == "video":
            with atomic_path(place) as temporary:
                self._small[0].save(temporary, **_WEBP)  # type: ignore[arg-type]
            write_image(self._files.of(self.job.id, files.SPRITESHEET), np.asarray(_sheet(self._small)))
        self._opened.close()

    def abandon(self, error: BaseException | None = None) -> None:
        """Leave no file."""
        why = error or RuntimeError("abandoned")
        with suppress(Exception):  # the disk that is full, once more
            self._opened.__exit__(type(why), why, why.__traceback__)
        self._files.remove_made(self.job.id, self.job.kind)

    def _write(self, image: Image.Image) -> None:
        if self._add is None:
            write_image(self._files.of(self.job.id, files.IMAGE), np.asarray(image))
        else:
            self._add(np.asarray(image))
        if self._number in self._shown:
            small: Any = image.copy()
            small.thumbnail((_SMALL_PX, _SMALL_PX))
            self._small.append(small)
        self._number += 1


def _spread(num_frames: int, most: int) -> set[int]:
    """Return the numbers of at most so many frames, spread evenly, the first and the last among them."""
    if num_frames <= most:
        return set(range(num_frames))
    return {round(place * (num_frames - 1) / (most - 1)) for place in range(most)}


def _sheet(frames: list[Image.Image]) -> Image.Image:
    columns = min(_SHEET_COLUMNS, len(frames))
    width, height = frames[0].size
    sheet = Image.new("RGB", (columns * width, math.ceil(len(frames) / columns) * height))
    for number, frame in enumerate(frames):
        sheet.paste(frame, (number % columns * width, number // columns * height))
    return sheet
