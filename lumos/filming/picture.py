"""Still pictures, each at several sizes: one halving after the other, so that a small view of it is not jagged."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from lumos.media.media_error import MediaError
from lumos.media.reading import read_image

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
_LEAST_PX = 64


@dataclass(frozen=True)
class Picture:
    """A picture as a pyramid (Williams 1983: mip map)."""

    name: str
    """Of its file."""
    levels: Sequence[UInt8[Tensor, "3 _ _"]]
    """The picture, then its halves as long as both sides have 16 px."""

    @property
    def width_px(self) -> int:
        """Of the picture itself."""
        return self.levels[0].shape[2]

    @property
    def height_px(self) -> int:
        """Of the picture itself."""
        return self.levels[0].shape[1]

    def at(self, places: Float[Tensor, "F H W 2"], *, level: int) -> Float[Tensor, "3 F H W"]:
        """Return the colours at places (x, y), in pixels of the picture, read from one level; 0..255.

        Between pixels they are linear; outside the picture stands its reflection.
        """
        size = torch.tensor([self.width_px, self.height_px], dtype=places.dtype)
        read = self.levels[min(level, len(self.levels) - 1)].float()
        grid = places / size * 2 - 1
        frames = len(places)
        found = F.grid_sample(
            read.expand(frames, -1, -1, -1), grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )
        return found.transpose(0, 1)


def pyramid(name: str, pixels: UInt8[Tensor, "3 H W"]) -> Picture:
    """Return the picture with its halves."""
    levels = [pixels]
    while min(levels[-1].shape[1:]) >= 32:
        half = F.avg_pool2d(levels[-1].float()[None], 2)[0]
        levels.append(half.round().to(torch.uint8))
    return Picture(name=name, levels=levels)


def read_pictures(folder: Path) -> list[Picture]:
    """Return the pictures of a folder and of the folders in it, in the order of their names.

    Raises:
        ValueError: the folder is missing or holds none, or one cannot be read or is smaller than 64 px.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if not paths:
        endings = ", ".join(ENDINGS)
        raise ValueError(
            f"{folder} holds no pictures ({endings}); bring some: python -m pre_tokenize.photographs --out {folder}"
        )
    return [_read(path, str(path.relative_to(folder))) for path in paths]


def _read(path: Path, name: str) -> Picture:
    try:
        pixels = read_image(path)
    except MediaError as error:
        raise ValueError(f"{error}; delete it, or bring it again") from error
    if min(pixels.shape[:2]) < _LEAST_PX:
        raise ValueError(f"{path} is smaller than {_LEAST_PX} px; delete it")
    return pyramid(name, torch.from_numpy(pixels).permute(2, 0, 1).contiguous())
