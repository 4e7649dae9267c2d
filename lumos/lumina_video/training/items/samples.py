"""What a training item is made of: a latent cut to its task, whether text and motion are said, noise and a time."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lumos.lumina_video.sizes import RELEASED
from lumos.lumina_video.training.items.latent_cuts import num_frames_of as num_frames_of
from lumos.lumina_video.training.items.latent_cuts import sides_of as sides_of
from lumos.lumina_video.training.items.latent_cuts import window_of as window_of
from lumos.lumina_video.training.loss import interpolate
from lumos.lumina_video.training.task_config import LuminaVideoTaskConfig, ScaleTask
from lumos.lumina_video.training.times import draw_times

UNSPECIFIED = -1.0
"""The motion score that means "not said"."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """An item as it is read: nothing about it is drawn yet."""

    task: ScaleTask
    """How it is trained on."""
    caption: str
    """Its text."""
    latent: Float[Tensor, "C T H W"]
    """The latent frames that training may take, scaled to about unit variance."""
    frames_per_latent: int = RELEASED.temporal
    """Frames that one latent frame stands for."""
    motion: float
    """The motion score; -1: unknown."""
    held_out: bool = False
    """Whether text and motion are said in any case."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """An item of a batch."""

    caption: str
    """Its text, empty where it was dropped."""
    motion: float
    """Its motion score, -1 where it is not said."""
    latents: Float[Tensor, "C T H W"]
    """x_1, fp32."""
    noise: Float[Tensor, "C T H W"]
    """x_0, fp32."""
    noisy: Float[Tensor, "C T H W"]
    """x_t, fp32."""
    time: Float[Tensor, ""]
    """t, rounded to the type the latent had on disk, as in the released system."""


def draw_item(sample: Sample, config: LuminaVideoTaskConfig, *, generator: torch.Generator) -> Item:
    """Return a sample with all that is random about it drawn: text, motion, window, noise, time, in this order."""
    says_text, says_motion = torch.rand(2, generator=generator).tolist()
    place = float(torch.rand((), generator=generator))
    latent = cut_latent(sample.latent, sample.task, draw=place, frames_per_latent=sample.frames_per_latent)
    noise = torch.randn(latent.shape, generator=generator)
    time = draw_times(1, sample.task.snr_type, shift=sample.task.time_shift, generator=generator)[0].to(latent.dtype)
    dropped = says_text >= 1 - config.text_drop and not sample.held_out
    return Item(
        caption="" if dropped else sample.caption,
        motion=_motion(sample, config, draw=says_motion),
        latents=latent.float(),
        noise=noise,
        noisy=interpolate(noise, latent.float(), t=time),
        time=time.float(),
    )


def cut_latent(
    latent: Float[Tensor, "C T H W"], task: ScaleTask, *, draw: float, frames_per_latent: int = RELEASED.temporal
) -> Float[Tensor, "C t h w"]:
    """Return what a task trains on: a window in time, cut to whole patches; of an image its frame, once a patch frame.

    Rows and columns are cut to a multiple of 4, half of what is too much (rounded down) from the top and the left.

    Args:
        latent: whole.
        task: says how long the window is.
        draw: in [0, 1), where the window begins.
        frames_per_latent: of the VAE; the window is said in frames.
    """
    if task.media_type == "image":
        window = latent[:, :1].expand(-1, task.f_patch_size, -1, -1)
    else:
        length = num_frames_of(latent.shape[1], task, frames_per_latent=frames_per_latent)
        reach = latent.shape[1] - window_of(latent.shape[1], task, frames_per_latent=frames_per_latent)
        first = min(int(draw * (reach + 1)), reach)
        window = latent[:, first : first + length]
    top, left = ((side % task.side_multiple) // 2 for side in latent.shape[2:])
    height, width = sides_of(latent.shape[2], latent.shape[3], task)
    return window[:, :, top : top + height, left : left + width]


def _motion(sample: Sample, config: LuminaVideoTaskConfig, *, draw: float) -> float:
    if sample.task.media_type == "image":
        return 0.0 if draw < config.image_motion or sample.held_out else UNSPECIFIED
    return UNSPECIFIED if draw < config.motion_drop and not sample.held_out else sample.motion
