"""Bucket sizes, and pictures scaled and cut to one."""

import math
from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

PATCH_PX = 32
MAX_ASPECT = 4
Crop = int | tuple[int, int] | list[tuple[int, int]]
"""A target size in pixels (`crop_sizes`); (width, height); or several such, of which the nearest in aspect counts."""
MOST_SCALED = 64
"""How many times its crop's area a picture may take before it is cut: lines of 1 x 60,000 px would take gigabytes."""


def crop_size_list(num_patches: int, patch_px: int, max_aspect: int | float = MAX_ASPECT) -> list[tuple[int, int]]:
    """Sizes (width, height) in pixels of at most `num_patches` square patches, the widest first.

    Raises:
        ValueError: no patch at all, or an aspect below 1.
    """
    if num_patches < 1 or patch_px < 1 or not max_aspect >= 1:
        raise ValueError(f"{num_patches} patches of {patch_px} px, aspect {max_aspect:g}: each must be at least 1")
    widest = int(min(num_patches, math.sqrt(max_aspect * num_patches) + 1))
    return [
        (w * patch_px, h * patch_px)
        for w in range(widest, int(math.sqrt(num_patches / max_aspect) / 2), -1)
        for h in range(max(1, num_patches // (w + 1)), num_patches // w + 1)
        if max(w, h) <= max_aspect * min(w, h)
    ]


def crop_sizes(target: int) -> list[tuple[int, int]]:
    """Bucket sizes (width, height) in pixels for a target size: multiples of 32, about target^2 pixels, aspect <= 4.

    352 is "256p" (448x256 for 16:9), 528 "384p" (672x384), 656 "480p".
    """
    num_patches = (target // PATCH_PX) ** 2
    if num_patches < 1:
        raise ValueError(
            f"target size {target} px is smaller than one patch of {PATCH_PX} px: give at least {PATCH_PX}"
        )
    return crop_size_list(num_patches, PATCH_PX, MAX_ASPECT)


def nearest_size(width: int, height: int, sizes: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Which of `sizes` (width, height) has the aspect nearest to a picture's; the larger, width first, of two."""

    def closeness(size: tuple[int, int]) -> tuple[float, tuple[int, int]]:
        ratios = size[0] / width, size[1] / height
        return min(ratios) / max(ratios), size

    return max(sizes, key=closeness)


def nearest_crop(width: int, height: int, target: int) -> tuple[int, int]:
    """Bucket size (width, height) in pixels for a picture of `width` x `height`: nearest aspect, ties to the larger."""
    return nearest_size(width, height, crop_sizes(target))


def crop_size(width: int, height: int, size: Crop) -> tuple[int, int]:
    """The (width, height) in pixels that a picture of `width` x `height` is cut to."""
    if isinstance(size, int):
        return nearest_crop(width, height, size)
    return size if isinstance(size, tuple) else nearest_size(width, height, size)


def crop_to_bucket(frames: UInt8[np.ndarray, "F H W 3"], size: Crop) -> UInt8[np.ndarray, "F h w 3"]:
    """Frames scaled and cut to the bucket that `crop_size` says.

    Box-filtered halving while both sides are at least twice the crop, a bicubic resize so that the crop just fits, then
    the centre. All frames are cut alike.
    """
    height, width = frames.shape[1:3]
    crop = crop_size(width, height, size)
    out = np.empty((len(frames), crop[1], crop[0], 3), dtype=np.uint8)
    for index, frame in enumerate(frames):
        out[index] = np.asarray(_crop(Image.fromarray(frame), crop))
    return out


def _crop(image: Image.Image, crop: tuple[int, int]) -> Image.Image:
    while image.width >= 2 * crop[0] and image.height >= 2 * crop[1]:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = max(crop[0] / image.width, crop[1] / image.height)
    width, height = round(image.width * scale), round(image.height * scale)
    left, top = (width - crop[0]) // 2, (height - crop[1]) // 2
    if width * height <= MOST_SCALED * crop[0] * crop[1]:
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        return image.crop((left, top, left + crop[0], top + crop[1]))
    across, down = image.width / width, image.height / height
    box = (left * across, top * down, (left + crop[0]) * across, (top + crop[1]) * down)
    return image.resize(crop, Image.Resampling.BICUBIC, box=box)
