"""Clips whose frames say their number, and synthetic pictures."""

import numpy as np


def numbered(num_frames: int, height: int = 32, width: int = 48) -> np.ndarray:
    """Frames whose grey level is ten times their number."""
    return np.repeat(np.arange(num_frames, dtype=np.uint8) * 10, height * width * 3).reshape(-1, height, width, 3)


def numbers(frames: np.ndarray) -> list[int]:
    return np.rint(frames.mean(axis=(1, 2, 3)) / 10).astype(int).tolist()


def synthetic(kind: str, index: int, width: int, height: int) -> np.ndarray:
    if kind == "noise":
        return np.random.RandomState(9000 + index).randint(0, 256, (height, width, 3)).astype(np.uint8)
    y, x = np.mgrid[:height, :width]
    channels = x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x + y) * 255 // max(width + height - 2, 1)
    return np.stack(channels, axis=-1).astype(np.uint8)
