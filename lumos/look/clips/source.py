"""The frames that a clip was made of, read from its source once more by the same rules."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np
from jaxtyping import UInt8

from lumos.look.clips.pair import NOT_FOUND
from lumos.look.clips.provenance import Provenance
from lumos.lumina_video.data.latents import LatentClip, VAEIdentity
from lumos.lumina_video.encoding.clip_frames import clip_frames
from lumos.lumos1.sequence import SPATIAL_FACTOR, Clip, num_latent_frames
from lumos.media.crop import crop_to_bucket
from lumos.media.decoding.chosen_frames import read_chosen
from lumos.media.frames import FrameChoice
from lumos.media.media_error import MediaError
from lumos.media.reading import read_clip, read_image

MOST_PIXELS = 2**27
"""Of all frames of a clip; 96 frames of 1248x704 have two thirds of it."""

_MOST_FPS, _MOST_SECONDS = 1000, 100_000
_ALTERED = "the source is no longer what the clip was made of"


@dataclass(frozen=True, kw_only=True)
class Source:
    """What was found of a clip's source."""

    frames: UInt8[np.ndarray, "F H W 3"] | None = None
    fault: str = ""
    """Why there is none."""


def code_source(clip: Clip, made: Provenance) -> Source:
    """The frames that the codes of a clip stand for, cut as they were."""
    T, H, W = clip.codes.shape
    size = (W * SPATIAL_FACTOR, H * SPATIAL_FACTOR)
    if not (0 < clip.fps <= _MOST_FPS and 0 < clip.duration <= _MOST_SECONDS):
        return Source(fault="its rate or duration is none")
    num = clip.fps * clip.duration
    if num_latent_frames(num) != T or num * size[0] * size[1] > MOST_PIXELS:
        return Source(fault="source not compared: the clip has other frames than its rate and duration say")
    if num == 1 and made.text("modality") != "video":
        return _read(clip.source, made, lambda path: crop_to_bucket(read_image(path)[None], size))
    how = partial(read_clip, fps=clip.fps, duration=clip.duration, size=size, frame_choice=_choice(made))
    return _read(clip.source, made, how)


def latent_source(clip: LatentClip, made: Provenance, vae: VAEIdentity | None) -> Source:
    """The frames that a clip of latents stands for, cut as they were."""
    if vae is None or clip.fps is None or clip.lead:
        return Source(fault="source not compared: no record says which frames were encoded")
    _, T, H, W = clip.latent.shape
    size = (W * vae.spatial, H * vae.spatial)
    if not 0 < clip.fps <= _MOST_FPS or T * vae.temporal * size[0] * size[1] > MOST_PIXELS:
        return Source(fault="source not compared: its rate or size is none")
    if T == 1:
        return _read(clip.source, made, lambda path: crop_to_bucket(read_image(path)[None], size))
    rule = partial(clip_frames, fps=Fraction(clip.fps), frames_per_latent=vae.temporal, most_s=_MOST_SECONDS)

    def checked_rule(num_frames: int, source_fps: Fraction) -> list[int]:
        wanted = rule(num_frames, source_fps)
        if len(wanted) != T * vae.temporal:  # before they are read: a longer file may have taken its place
            raise MediaError(clip.source, _ALTERED)
        return wanted

    def chosen(path: object) -> np.ndarray:
        return read_chosen(
            str(path),
            checked_rule,
            step_s=1 / Fraction(clip.fps or 1),
            prepare=lambda pixels: crop_to_bucket(pixels[None], size)[0],
            least_px=max(size),
            frame_choice=_choice(made),
        ).frames

    return _read(clip.source, made, chosen)


def _read(name: str, made: Provenance, read: Callable[..., np.ndarray]) -> Source:
    if name.endswith(".pkl"):
        return Source(fault="no record names its source")
    if (path := made.find(name)) is None:
        return Source(fault=NOT_FOUND)
    try:
        return Source(frames=read(path))
    except MediaError as error:
        return Source(fault=f"source: {error.reason}" if error.reason != _ALTERED else _ALTERED)


def _choice(made: Provenance) -> FrameChoice:
    """How frames were found; sets from before there was a choice have them by number."""
    said = made.text("frame_choice")
    return "released" if said == "released" or (said is None and "modality" in made.settings) else "time"
