"""Clips in memory, brought to bytes."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lumos.media.clip_pixels import clip_pixels

FRAMES = np.random.RandomState(0).randint(0, 256, (4, 5, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "clip",
    [
        FRAMES,
        list(FRAMES),
        tuple(Image.fromarray(frame) for frame in FRAMES),
        (FRAMES / 255).astype(np.float32),
        torch.from_numpy(FRAMES),
        torch.from_numpy(FRAMES / 255).permute(0, 3, 1, 2),
    ],
    ids=["array", "arrays", "pictures", "fractions", "tensor", "tensor of fractions, channels first"],
)
def test_every_form_is_the_same_bytes(clip: Any) -> None:
    np.testing.assert_array_equal(clip_pixels(clip), FRAMES)


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ([], "there are no frames"),
        (np.zeros((0, 5, 6, 3), np.uint8), "there are no frames"),
        ([FRAMES[0], FRAMES[1, :4]], "frame 1 is 6x4, and those before it 6x5; give frames of one size"),
        (FRAMES[0], r"the clip is an array \[5, 6, 3\]; give frames \[F, H, W, 3\]"),
        (FRAMES[..., :2], r"the clip is an array \[4, 5, 6, 2\]"),
        (np.full((2, 5, 6, 3), 1.5), "outside 0..1; give uint8, or floats"),
        (np.full((2, 5, 6, 3), np.nan), "outside 0..1"),
        (torch.zeros(2, 3, 5, 6, dtype=torch.int64), "the image is a tensor of int64"),
    ],
)
def test_what_is_no_clip_is_said(clip: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clip_pixels(clip)
