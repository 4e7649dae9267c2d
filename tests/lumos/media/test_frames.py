"""Frame indices, and pixels to tensors and back."""

import numpy as np
import pytest
import torch

from lumos.media.frames import MediaError, frame_indices, to_frames, to_tensor


def test_frame_indices_are_the_released_ones(released: dict) -> None:
    for case in released["extract_frames"]:
        arguments = case["total_frames"], case["original_fps"]
        wanted = {"fps": case["target_fps"], "duration": case["duration"]}
        if case["indices"]:
            assert list(frame_indices(*arguments, **wanted)) == case["indices"]
        else:
            with pytest.raises(MediaError):
                frame_indices(*arguments, **wanted)


def test_pixels_survive_the_way_to_a_tensor_and_back() -> None:
    frames = np.arange(256, dtype=np.uint8).repeat(3).reshape(2, 8, 16, 3)
    video = to_tensor(frames)
    assert video.shape == (3, 2, 8, 16)
    assert (video.min(), video.max()) == (-1, 1)
    assert np.abs(to_frames(video).astype(int) - frames).max() <= 1  # truncation, as released


def test_to_frames_clamps_and_truncates() -> None:
    values = torch.tensor([-3.0, 3.0, 0.0, 0.999])
    assert to_frames(values.expand(3, 1, 1, 4))[0, 0, :, 0].tolist() == [0, 255, 127, 254]
