"""Images that are no latents yet, as the engine's dataset: cropped here, encoded on the way (README section 6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from lumos.lumina_video.encoding.crops import crop_sizes
from lumos.lumina_video.training.items.file_lists import read_file_lists
from lumos.lumina_video.training.task_config import ScaleTask
from lumos.media.crop import crop_to_bucket, nearest_size
from lumos.media.reading import read_image
from xllmx.data.broken import BrokenSampleError
from xllmx.data.kinds import Kinds
from xllmx.subset import Subset


@dataclass(frozen=True, kw_only=True)
class ImageSample:
    """An image as it is read."""

    task: ScaleTask
    """How it is trained on."""
    caption: str
    """Its text."""
    pixels: UInt8[Tensor, "H W 3"]
    """Cropped to the task's size."""
    motion: float = 0.0
    """It has none."""
    held_out: bool = False
    """Whether text and motion are said in any case."""

    @property
    def frames(self) -> UInt8[Tensor, "1 H W 3"]:
        """The image as a clip."""
        return self.pixels[None]


class ImageFiles:
    """Map-style dataset of `ImageSample`, of lists of {path, prompt}; paths are relative to their list.

    `data` is a list (`LISTS`) or a data YAML `META: [{path, ratio, type, drawn}]` of some; `bucket_keys` are
    the types.
    """

    def __init__(self, task: ScaleTask, *, held_out: bool = False) -> None:
        """Read the lists; no image is opened.

        Raises:
            ValueError: one is damaged, or no row of it can be used; there are none, or `image_size` is not given.
        """
        self._task, self._held_out = task, held_out
        if task.image_size is None:
            raise ValueError(f"{task.data} lists images: set image_size, the side they are cropped to, of this task")
        self._sizes = crop_sizes(task.image_size)
        lists = read_file_lists(Path(task.data), media_type="image")
        if not len(lists.taken):
            raise ValueError(f'{task.data} lists no image; write {{"path": ..., "prompt": ...}} for each')
        self._rows, self._taken = lists.rows, lists.taken
        self.subsets: list[Subset] = lists.subsets
        self.lengths: Sequence[int] = Kinds([1], np.zeros(len(lists.taken), np.uint16))
        self.bucket_keys: Kinds[str] = lists.types

    def __len__(self) -> int:
        return len(self._taken)

    def __getitem__(self, index: int) -> ImageSample:
        """Return the image, cropped.

        Raises:
            BrokenSampleError: it cannot be read.
        """
        file = self._rows[int(self._taken[index])]
        try:
            image = read_image(file.path)
        except ValueError as error:
            raise BrokenSampleError(str(error)) from error
        size = nearest_size(image.shape[1], image.shape[0], self._sizes)
        pixels = torch.from_numpy(crop_to_bucket(image[None], size)[0].copy())
        return ImageSample(task=self._task, caption=file.caption, pixels=pixels, held_out=self._held_out)
