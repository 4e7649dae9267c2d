"""A texture that moves by a known number of pixels a frame."""

import numpy as np
import torch
import torch.nn.functional as F

from lumos.lumina_video.data.motion import HEIGHT, WIDTH


def moving_texture(
    num_frames: int, step: tuple[float, float], *, height: int = 90, width: int = 160, seed: int = 0
) -> np.ndarray:
    """uint8 [num_frames, height, width, 3] whose content moves by `step` = (x, y) pixels from one frame to the next."""
    margin = int(num_frames * max(map(abs, step))) + 2
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, 3, (height + 2 * margin) // 5 + 2, (width + 2 * margin) // 5 + 2), generator=generator)
    texture = F.interpolate(coarse, (height + 2 * margin, width + 2 * margin), mode="bicubic").clamp(0, 1)
    frames = []
    for number in range(num_frames):
        left, top = (margin - number * each for each in step)
        x = torch.arange(width) + left
        y = torch.arange(height) + top
        grid = torch.stack(
            torch.meshgrid(x * 2 / (width + 2 * margin - 1) - 1, y * 2 / (height + 2 * margin - 1) - 1, indexing="xy"),
            dim=-1,
        )
        shown = F.grid_sample(texture, grid[None].float(), align_corners=True)
        frames.append((shown[0].permute(1, 2, 0) * 255).round().byte().numpy())
    return np.stack(frames)


def expected_score(step: tuple[float, float], frames_apart: int, *, height: int = 90, width: int = 160) -> float:
    """The score of `moving_texture`, compared so many frames apart."""
    x, y = (abs(each) * frames_apart for each in step)
    return (x * (WIDTH - 1) / (width - 1) + y * (HEIGHT - 1) / (height - 1)) / 2
