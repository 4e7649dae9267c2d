"""How many latent frames and tokens a clip has, by arithmetic alone; imported without torch.

`lumos.lumos1.sequence` has the layout that is counted here.
"""

import numpy as np

TEMPORAL_FACTOR = 4
"""Frames per latent frame, after the first, which is coded alone."""
HEAD = 3
"""Tokens of a frame before its first code: FSTART hgrid wgrid."""


def num_latent_frames(num_frames: int) -> int:
    """Return T = ceil((num_frames - 1) / 4) + 1 for a clip of `num_frames` >= 1 frames: 24 -> 7, 1 -> 1."""
    if num_frames < 1:
        raise ValueError(f"num_frames is {num_frames}; a clip has at least 1 frame")
    return -(-(num_frames - 1) // TEMPORAL_FACTOR) + 1


def frame_length(height: int, width: int) -> int:
    """Return F, the tokens of a frame with its start and end."""
    return height * (width + 1) + HEAD + 1


def sequence_length(num_prompt_ids: int, grid: tuple[int, int, int]) -> int:
    """Return L of `sequence_of` for a prompt of so many ids and codes of shape `grid` = (T, H, W)."""
    num_frames, height, width = grid
    return num_prompt_ids + 1 + 3 + num_frames * frame_length(height, width) + 2


def sequence_lengths(shapes: np.ndarray) -> np.ndarray:
    """Return the number of tokens of each clip's sequence, int64 [N], from rows that begin (prompt ids, T, H, W)."""
    grids, which = np.unique(shapes[:, 1:4], axis=0, return_inverse=True)
    answers = [sequence_length(0, (int(T), int(H), int(W))) for T, H, W in grids]
    return shapes[:, 0] + np.array(answers, dtype=np.int64)[which.reshape(-1)]
