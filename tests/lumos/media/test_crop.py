"""Crop lists and crops against the released system's numbers."""

import hashlib

import numpy as np
import pytest

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
