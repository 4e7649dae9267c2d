"""Images that are no latents yet, as the engine's dataset: cropped here, encoded on the way (README 7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from lumos.lumina_video.encoding.crops import crop_sizes
from lumos.lumina_video.training.task_config import ScaleTask
from lumos.media.crop import crop_to_bucket, nearest_size
from lumos.media.reading import read_image
from xllmx.data.broken import BrokenSampleError
from xllmx.safe.json_text import json_lines, parse_json, read_text

_REMEDY = 'write {"path": ..., "prompt": ...} for each'


@dataclass(frozen=True, kw_only=True)
class ImageSample:
    """An image as it is read."""

    task: ScaleTask
    """How it is trained on."""
    caption: str
    """Its text."""
    pixels: UInt8[Tensor, "H W 3"]
    """Cropped to the task's size."""
    held_out: bool = False
    """Whether text and motion are said in any case."""


def is_image_list(task: ScaleTask) -> bool:
    """Whether the data of a task are a list of image files rather than latents: a .json list, or a .jsonl."""
    path = Path(task.data)
    if task.media_type != "image" or path.suffix not in (".json", ".jsonl") or not path.is_file():
        return False
    return path.suffix == ".jsonl" or read_text(path, remedy=_REMEDY).lstrip().startswith("[")


class ImageFiles:
    """Map-style dataset of `ImageSample`, of a list of {path, prompt}; paths are relative to the list."""

    def __init__(self, task: ScaleTask, *, held_out: bool = False) -> None:
        """Read the list; no image is opened.

        Raises:
            ValueError: it is damaged or empty, or `image_size` is not given.
        """
        self._task, self._held_out, self._list = task, held_out, Path(task.data)
        if task.image_size is None:
            raise ValueError(f"{task.data} lists images: set image_size, the side they are cropped to, of this task")
        self._sizes = crop_sizes(task.image_size)
        text = read_text(self._list, remedy=_REMEDY)
        is_lines = self._list.suffix == ".jsonl"
        where = str(self._list)
        found: Any = (
            [one for _, one in json_lines(text, where, remedy=_REMEDY)]
            if is_lines
            else parse_json(text, where, remedy=_REMEDY)
        )
        self._records = [_record(one, self._list) for one in found]
        if not self._records:
            raise ValueError(f"{where} lists no image; {_REMEDY}")
        self.lengths: Sequence[int] = [1] * len(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> ImageSample:
        """Return the image, cropped.

        Raises:
            BrokenSampleError: it cannot be read.
        """
        path, caption = self._records[index]
        try:
            image = read_image(path)
        except ValueError as error:
            raise BrokenSampleError(str(error)) from error
        size = nearest_size(image.shape[1], image.shape[0], self._sizes)
        pixels = torch.from_numpy(crop_to_bucket(image[None], size)[0].copy())
        return ImageSample(task=self._task, caption=caption, pixels=pixels, held_out=self._held_out)


def _record(found: Any, said_by: Path) -> tuple[Path, str]:
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in ("path", "prompt")):
        raise ValueError(f"{said_by}: {str(found)[:60]} is no image; {_REMEDY}")
    return said_by.parent / found["path"], found["prompt"]
