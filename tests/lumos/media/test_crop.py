"""Crop lists and crops against the released system's numbers."""

import hashlib
import time

import numpy as np
import pytest
from PIL import Image

from lumos.media import crop
from lumos.media.crop import crop_sizes, crop_to_bucket, nearest_crop
from tests.lumos.media.pictures import synthetic


def test_crop_sizes_are_the_released_lists(released: dict) -> None:
    for target, sizes in released["crop_lists"].items():
        assert crop_sizes(int(target)) == [tuple(size) for size in sizes]


def test_crop_sizes_of_a_target_below_one_patch_is_an_error() -> None:
    with pytest.raises(ValueError, match="target size 31 px"):
        crop_sizes(31)


@pytest.mark.parametrize("kind", ["noise", "gradient"])
def test_crops_of_images_are_the_released_pixels(released: dict, kind: str) -> None:
    for case in released["images"]:
        width, height = case["size_wh"]
        image = synthetic(kind, case["i"], width, height)
        assert hashlib.sha256(image.tobytes()).hexdigest() == case[f"{kind}_sha256_source"]
        for target in released["crop_lists"]:
            assert nearest_crop(width, height, int(target)) == tuple(case[f"crop_{target}"])
            crop = crop_to_bucket(image[None], int(target))[0]
            assert crop.shape[1::-1] == tuple(case[f"crop_{target}"])
            if hashlib.sha256(crop.tobytes()).hexdigest() != case[f"{kind}_sha256_{target}"]:  # another Pillow
                assert np.abs(crop[0, 0].astype(int) - case[f"{kind}_px00_{target}"]).max() <= 1
                np.testing.assert_allclose(crop.mean(axis=(0, 1)), case[f"{kind}_mean_{target}"], atol=0.1)


def test_a_tie_between_crops_goes_to_the_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crop, "crop_sizes", lambda _: [(32, 64), (64, 32), (32, 96)])
    assert nearest_crop(200, 200, 96) == (64, 32)


def test_all_frames_of_a_clip_are_cut_alike() -> None:
    frames = np.stack([synthetic("noise", index, 90, 70) for index in range(3)])
    together = crop_to_bucket(frames, (64, 32))
    assert together.shape == (3, 32, 64, 3)
    for index in range(3):
        np.testing.assert_array_equal(together[index], crop_to_bucket(frames[index : index + 1], (64, 32))[0])


@pytest.mark.parametrize(("width", "height"), [(1, 20_000), (20_000, 2)])
def test_a_line_of_pixels_takes_no_more_memory_than_a_picture(
    width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resize = Image.Image.resize
    areas = []

    def counted(self: Image.Image, size: tuple[int, int], *args: object, **more: object) -> Image.Image:
        areas.append(size[0] * size[1])
        return resize(self, size, *args, **more)

    monkeypatch.setattr(Image.Image, "resize", counted)
    cut = crop_to_bucket(synthetic("gradient", 0, width, height)[None], 64)
    assert sorted(cut.shape[1:3]) == [32, 128]
    assert max(areas) <= crop.MOST_SCALED * 32 * 128
    assert abs(float(cut[..., int(height > width)].mean()) - 127) < 2  # the middle of a ramp from 0 to 255


@pytest.mark.parametrize(("width", "height"), [(7, 600), (900, 9)])
def test_cutting_while_scaling_gives_the_same_picture(width: int, height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = synthetic("noise", 3, width, height)[None]
    cut = crop_to_bucket(image, 64)
    monkeypatch.setattr(crop, "MOST_SCALED", 0)
    difference = np.abs(crop_to_bucket(image, 64).astype(int) - cut)
    assert difference.mean() < 1
    assert difference.max() < 32  # at the cut, where the sums see no pixel beyond it


def walked(num_patches: int, max_aspect: float) -> list[tuple[int, int]]:
    """Sizes in patches, point for point as the release's list is told of: along the budget from the widest on."""
    sizes, w, h = [], num_patches, 1
    while w > 0:
        if max(w, h) <= max_aspect * min(w, h):
            sizes.append((w, h))
        if (h + 1) * w <= num_patches:
            h += 1
        else:
            w -= 1
    return sizes


@pytest.mark.parametrize("max_aspect", [1, 1.5, 1.999, 4, 7.7, 1e6, np.inf])
def test_the_list_is_the_one_that_is_walked_along_the_budget(max_aspect: float) -> None:
    for num_patches in [*range(1, 90), 121, 256, 1234]:
        assert crop.crop_size_list(num_patches, 1, max_aspect) == walked(num_patches, max_aspect)


def test_the_list_of_a_huge_target_takes_no_walk_through_all_its_patches() -> None:
    began = time.process_time()
    assert len(crop_sizes(65536)) == 6145
    assert time.process_time() - began < 0.5
