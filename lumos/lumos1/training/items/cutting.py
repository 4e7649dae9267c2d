"""Clips cut to a length in time or in tokens: whole latent frames are dropped from the end."""

import dataclasses

from lumos.lumos1.sequence import Clip, num_latent_frames
from lumos.lumos1.training.items.lengths_after_cut import cut_shapes as cut_shapes
from lumos.lumos1.training.items.lengths_after_cut import frames_within as frames_within


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
