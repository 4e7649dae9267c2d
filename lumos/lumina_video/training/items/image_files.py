"""Images that are no latents yet, as the engine's dataset: cropped here, encoded on the way (README section 6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from lumos.lumina_video.data.latent_set import DRAWN
from lumos.lumina_video.data.row_lists import LISTS, read_rows, usable
from lumos.lumina_video.encoding.crops import crop_sizes
from lumos.lumina_video.training.task_config import ScaleTask
from lumos.media.crop import crop_to_bucket, nearest_size
from lumos.media.data_yaml import entries_of
from lumos.media.reading import read_image
from xllmx.data.broken import BrokenSampleError
from xllmx.data.kinds import Kinds
from xllmx.subset import Subset

_REMEDY = 'write {"path": ..., "prompt": ...} for each, or a CSV with the columns path,text'


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


def is_image_list(task: ScaleTask) -> bool:
    """Whether the data of a task are lists of image files (`LISTS`), or a YAML of such, rather than latents."""
    return task.media_type == "image" and is_file_list(task)


def is_file_list(task: ScaleTask) -> bool:
    """Whether the data of a task are lists of files, images or videos as it says, rather than latents."""
    if not Path(task.data).is_file():
        return False
    try:
        return all(_is_list(entry.local) for entry in entries_of(Path(task.data)))
    except ValueError:  # for who opens latents to say
        return False


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
        self._records: list[tuple[Path, str]] = []
        self.subsets: list[Subset] = []
        types: list[str] = []
        for entry in entries_of(Path(task.data), drawn=DRAWN):
            records = _records_of(entry.local)
            chosen = entry.chosen(len(records))
            self.subsets += entry.subset(len(self._records), len(self._records) + len(chosen))
            self._records += [records[index] for index in chosen.tolist()]
            types += [entry.type] * len(chosen)
        if not self._records:
            raise ValueError(f"{task.data} lists no image; {_REMEDY}")
        self.lengths: Sequence[int] = [1] * len(self._records)
        self.bucket_keys: Kinds[str] = Kinds.of(types)

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


def _is_list(path: Path) -> bool:
    """Whether a file lists images; rows of a cache of latents name a pickle each."""
    if path.suffix not in LISTS or not path.is_file():
        return False
    if path.suffix == ".csv":  # what is wrong with it is for who reads it to say
        return True
    rows = read_rows(path, remedy=_REMEDY)
    return isinstance(rows, list) and "pkl" not in next((row for row in rows if isinstance(row, dict)), {})


def _records_of(path: Path) -> list[tuple[Path, str]]:
    rows = read_rows(path, remedy=_REMEDY)
    if not isinstance(rows, list):
        raise ValueError(f"{path}: no list of images; {_REMEDY}")

    def record(row: Any, where: str) -> tuple[Path, str]:
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("path", "prompt")):
            raise ValueError(f"{where}: {str(row)[:60]} is no image; {_REMEDY}")
        return path.parent / row["path"], row["prompt"]

    return usable(path, rows, record)
