"""Sizes that training crops pictures to: all have about the same number of pixels, and whole patches."""

from lumos.media.crop import PATCH_PX, crop_size_list


def generate_crop_size_list(num_patches: int, patch_size: int, max_ratio: int | float = 4.0) -> list[tuple[int, int]]:
    """Sizes (width, height) in pixels of at most `num_patches` square patches; the name under which it was published.

    Args:
        num_patches: the budget; for a target size of 960 px, (960 // 32) ** 2.
        patch_size: in pixels; 32 is the VAE's factor 8 times the coarsest patch of 4 latents.
        max_ratio: of the longer side to the shorter one.

    Raises:
        ValueError: no patch at all, or a ratio below 1.
    """
    return crop_size_list(num_patches, patch_size, max_ratio)


def crop_sizes(target: int) -> list[tuple[int, int]]:
    """The sizes (width, height) in pixels of about `target` x `target` pixels that training crops to.

    256 px have 25 sizes, 512 px 49 and 960 px 91. `lumos.media.crop` chooses among them and cuts.
    """
    return crop_size_list(round((target / PATCH_PX) ** 2), PATCH_PX)
