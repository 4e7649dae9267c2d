"""Sizes that training crops pictures to: all have about the same number of pixels, and whole patches."""

from collections.abc import Sequence

from lumos.media import PATCH_PX


def generate_crop_size_list(num_patches: int, patch_size: int, max_ratio: float = 4.0) -> list[tuple[int, int]]:
    """Return sizes (width, height) in pixels of at most `num_patches` square patches, the widest first.

    Args:
        num_patches: the budget; for a target size of 960 px, (960 // 32) ** 2.
        patch_size: in pixels; 32 is the VAE's factor 8 times the coarsest patch of 4 latents.
        max_ratio: of the longer side to the shorter one.

    Raises:
        ValueError: no patch at all, or a ratio below 1.
    """
    if num_patches < 1 or patch_size < 1 or max_ratio < 1:
        raise ValueError(
            f"num_patches={num_patches}, patch_size={patch_size}, max_ratio={max_ratio:g}: each must be at least 1"
        )
    sizes, w, h = [], num_patches, 1
    while w > 0:
        if max(w, h) <= max_ratio * min(w, h):
            sizes.append((w * patch_size, h * patch_size))
        if (h + 1) * w <= num_patches:
            h += 1
        else:
            w -= 1
    return sizes


def crop_sizes(target: int) -> list[tuple[int, int]]:
    """Return the sizes (width, height) in pixels of about `target` x `target` pixels that training crops to.

    256 px have 25 sizes, 512 px 49 and 960 px 91.
    """
    return generate_crop_size_list(round((target / PATCH_PX) ** 2), PATCH_PX)


def nearest_crop_size(width: int, height: int, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return that of `sizes` (width, height) which cuts least off a picture; of equals the wider, then the higher.

    `lumos.media.crop_to_bucket` cuts frames to it.
    """

    def kept(size: tuple[int, int]) -> tuple[float, tuple[int, int]]:
        ratios = size[0] / width, size[1] / height
        return min(ratios) / max(ratios), size

    return max(sizes, key=kept)
