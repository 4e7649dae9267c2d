"""Clips cut to a length in time or in tokens: whole latent frames are dropped from the end."""

import dataclasses

import numpy as np

from lumos.lumos1.sequence import Clip, num_latent_frames, sequence_length


def cut_clip(clip: Clip, duration_s: int | None) -> Clip:
    """Return the first `duration_s` seconds of the clip: frames past them dropped, duration set (README 8.1)."""
    if duration_s is None or clip.duration <= duration_s:
        return clip
    codes = clip.codes[: num_latent_frames(clip.fps * duration_s)]
    return dataclasses.replace(clip, codes=codes, duration=duration_s)


def cut_to_frames(clip: Clip, most: int) -> Clip:
    """Return at most the first `most` latent frames: whole seconds, as the header says, or less than the first one."""
    seconds = [s for s in range(1, clip.duration) if num_latent_frames(clip.fps * s) <= most]
    if seconds:
        return cut_clip(clip, seconds[-1])
    return dataclasses.replace(clip, codes=clip.codes[:most], duration=1)


def cut_shapes(shapes: np.ndarray, duration_s: int | None) -> np.ndarray:
    """Return rows of `SHAPE_COLUMNS` as `cut_clip` leaves the clips: fewer frames where one is longer."""
    cut = shapes.copy()
    if duration_s is None:
        return cut
    for row in np.flatnonzero(shapes[:, 5] > duration_s):
        cut[row, 1] = min(int(cut[row, 1]), num_latent_frames(int(cut[row, 4]) * duration_s))
        cut[row, 5] = duration_s
    return cut


def frames_within(num_prompt_ids: int, grid: tuple[int, ...], max_length: int) -> int:
    """Return how many whole latent frames of a clip of shape (T, H, W) fit into so many tokens; 0 if not one."""
    frames, height, width = grid
    one, two = (sequence_length(num_prompt_ids, (count, height, width)) for count in (1, 2))
    return max(0, min(frames, 1 + (max_length - one) // (two - one)))
