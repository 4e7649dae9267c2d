"""Haar patching: frames, rows and columns folded into channels and back, and the gain of each band.

Compiled to TorchScript, so plain torch only: no jaxtyping, no einops. Videos are [B, C, frames, height, width].
"""

import torch
from torch import Tensor

PATCH = 4
"""Pixels and frames folded into channels by two Haar transforms."""


def haar_patch(video: Tensor) -> Tensor:
    """Two orthogonal Haar transforms over frames, height, width, scaled to keep the mean: [B, 64C, F/4, H/4, W/4]."""
    for _ in range(2):
        for dim in (2, 3, 4):
            even, odd = _alternate(video, dim)
            video = torch.cat([(even + odd) / 2, (even - odd) / 2], dim=1)
    return video


def haar_unpatch(bands: Tensor) -> Tensor:
    """Inverse of `haar_patch`."""
    for _ in range(2):
        for dim in (4, 3, 2):
            mean, difference = bands.chunk(2, dim=1)
            bands = torch.stack([mean + difference, mean - difference], dim=dim + 1).flatten(dim, dim + 1)
    return bands


def band_gains() -> Tensor:
    """The factor of each of the 192 bands before the network, which brings edges to the size of plain ground.

    Natural pictures, and ours, hold little energy in differences: 1 for the mean, 4 for one difference, 8 for more.
    """
    differences = torch.zeros(3)
    for _ in range(6):
        differences = torch.cat([differences, differences + 1])
    return torch.tensor([1.0, 4.0, 8.0])[differences.clamp(max=2).long()].view(-1, 1, 1, 1)


def _alternate(video: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    pairs = video.unflatten(dim, [video.shape[dim] // 2, 2])
    return pairs.select(dim + 1, 0), pairs.select(dim + 1, 1)
