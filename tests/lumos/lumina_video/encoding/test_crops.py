"""Crop sizes against numbers of the released code (tests/golden/lumina/data.json)."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lumos.lumina_video.encoding.crops import crop_sizes, generate_crop_size_list
from lumos.media.crop import crop_to_bucket, nearest_size
from lumos.media.reading import read_image


@pytest.fixture(scope="module")
def stored(golden_lumina: Path) -> dict[str, Any]:
    return json.loads((golden_lumina / "data.json").read_text())


def picture(entry: dict[str, Any]) -> np.ndarray:
    """The synthetic image of an entry, as the README of the golden numbers has it."""
    w, h = entry["w"], entry["h"]
    if entry["kind"] == "noise":
        pixels = np.random.RandomState(9000 + entry["i"]).randint(0, 256, (h, w, 3))
    else:
        x, y = np.arange(w)[None, :], np.arange(h)[:, None]
        red, green = x * 255 // max(w - 1, 1), y * 255 // max(h - 1, 1)
        blue = (x + y) * 255 // max(w + h - 2, 1)
        pixels = np.stack([*np.broadcast_arrays(red, green, blue)], axis=-1)
    if entry["mode"] == "RGBA":
        alpha = np.random.RandomState(5000 + entry["i"]).randint(0, 256, (h, w))
        pixels = np.concatenate([pixels, alpha[..., None]], axis=-1)
    return pixels.astype(np.uint8)


def test_golden_crop_lists(stored: dict[str, Any]) -> None:
    for entry in stored["crop_lists"]:
        sizes = [tuple(size) for size in entry["list"]]
        assert generate_crop_size_list(entry["patches"], entry["patch"], entry["max_ratio"]) == sizes
        if entry["target"]:
            assert crop_sizes(entry["target"]) == sizes


def test_a_budget_is_rounded_to_the_nearest_number_of_patches() -> None:
    assert crop_sizes(250) == generate_crop_size_list(61, 32)  # 61.04 patches
    assert crop_sizes(700) == generate_crop_size_list(479, 32)  # 478.5


def test_golden_choice_of_a_crop(stored: dict[str, Any]) -> None:
    for entry in stored["crop_choice"]:
        assert nearest_size(*entry["size"], crop_sizes(entry["target"])) == tuple(entry["crop"])


def test_of_equally_near_sizes_the_larger_is_taken() -> None:
    assert nearest_size(10, 10, [(32, 32), (64, 64), (96, 48), (48, 96)]) == (64, 64)
    assert nearest_size(10, 10, [(48, 96), (96, 48)]) == (96, 48)


def test_golden_crops_of_pictures(stored: dict[str, Any], tmp_path: Path) -> None:
    for entry in stored["crops"]:
        Image.fromarray(picture(entry)).save(tmp_path / "picture.png")
        frame = read_image(tmp_path / "picture.png")
        size = nearest_size(frame.shape[1], frame.shape[0], crop_sizes(entry["target"]))
        assert size == tuple(entry["crop"])
        cut = crop_to_bucket(frame[None], size)[0]
        if hashlib.sha256(cut.tobytes()).hexdigest() != entry["sha256"]:  # another Pillow, or transparency
            for (row, column), pixel in entry["pixels"]:
                assert np.abs(cut[row, column].astype(int) - pixel).max() <= 1
            np.testing.assert_allclose(cut.mean(axis=(0, 1)), entry["mean"], atol=0.5)


@pytest.mark.parametrize(("patches", "size", "ratio"), [(0, 32, 4.0), (9, 0, 4.0), (9, 32, 0.5)])
def test_a_list_without_sizes_is_refused(patches: int, size: int, ratio: float) -> None:
    with pytest.raises(ValueError, match=f"{patches} patches of {size} px, aspect {ratio:g}: each must"):
        generate_crop_size_list(patches, size, ratio)
