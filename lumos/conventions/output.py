"""What a call gives back: frames in the form asked for, and the file of a clip.

output_type   frames                                                  images, where clips have one frame
pil           [[PIL.Image, ...], ...], a list a clip                  [PIL.Image, ...]
np            fp32 in [0, 1], [n, F, Hpx, Wpx, 3]                     [n, Hpx, Wpx, 3]
pt            fp32 in [0, 1], [n, F, 3, Hpx, Wpx], on the device      [n, 3, Hpx, Wpx]
latent        codes [n, T, H, W] of Lumos-1, latents [n, C, T, H, W]  the same
              of Lumina-Video, not decoded
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from lumos.conventions.words import UnknownWordError
from lumos.media.clip_pixels import clip_pixels
from lumos.media.frames import Rate, to_frames
from lumos.media.writing import VIDEO_SUFFIXES, write_image, write_video
from xllmx.settings.argument_types import checked_types
from xllmx.settings.setting import SettingError
from xllmx.words import plural

OutputType = Literal["pil", "np", "pt", "latent"]
OUTPUT_TYPES: tuple[str, ...] = get_args(OutputType)

Frames: TypeAlias = Any
"""One of the table above; the caller knows which, who asked for it."""


@dataclass(frozen=True, kw_only=True, repr=False)
class PipelineOutput:
    """What a call of either pipeline made, one entry a clip in every list."""

    frames: Frames
    """The frames of each clip; an image has one."""
    seeds: list[int]
    """The seed that makes each clip again, alone or in any batch."""
    settings: list[Any]
    """The settings each clip was made with."""
    model_calls: list[int]
    """Passes of the model that each clip took."""
    output_type: OutputType = "pil"
    """The form of the frames."""

    def __repr__(self) -> str:
        """In one line, without the numbers of frames, codes and latents: a notebook shows what a cell ends with."""
        clips = plural(len(self.settings), "clip")
        return f"{type(self).__name__}({clips}, output_type={self.output_type!r}, seeds={self.seeds})"

    @property
    def images(self) -> Frames:
        """The frames of images, one a clip, without the axis of time.

        Raises:
            UnknownWordError: they are videos.
        """
        if self.output_type == "latent":
            return self.frames
        if longer := [len(clip) for clip in self.frames if len(clip) != 1]:
            raise UnknownWordError(
                f"output.images is of images, and there is a clip of {longer[0]} frames; take output.frames, or ask "
                "for num_frames=1 where the model makes images"
            )
        return [clip[0] for clip in self.frames] if self.output_type == "pil" else self.frames[:, 0]

    @checked_types
    def save(self, path: str | Path, *, index: int | None = None, fps: Rate | None = None) -> list[Path]:
        """Write the clips into files, each whole or not at all, and return where they are.

        Args:
            path: ends in .mp4, .webm or .gif, or for an image in .png or the like. Of several clips the names are
                numbered: `kite-0.mp4`, `kite-1.mp4`, ...
            index: the clip that is meant; None: all of them.
            fps: None: what each clip was made with.

        Raises:
            ValueError: there is no such clip, it has no frames, its frames are latents, or the file cannot be written.
        """
        path, number = Path(path), len(self.settings)
        if self.output_type == "latent":
            raise ValueError("the frames are latents, as output_type says; make frames of them with pipeline.decode")
        if index is not None and not (isinstance(index, int) and -number <= index < number):
            raise SettingError("index", f"is {index}, and there are {number} clips; count from 0")
        wanted = range(number) if index is None else [index]
        places = {clip: path.with_name(f"{path.stem}-{clip}{path.suffix}") for clip in wanted}
        if len(wanted) == 1:
            places = {wanted[0]: path}
        for clip, place in places.items():
            _write(place, clip_pixels(self.frames[clip]), fps=self.settings[clip].fps if fps is None else fps)
        return list(places.values())


def check_one_size(sizes: Sequence[tuple[int, int, int]], output_type: OutputType) -> None:
    """Check that clips of these (frames, width, height) can be given back in a form, before any is made.

    Raises:
        SettingError: they are to be one array, and are not of one size.
    """
    if output_type != "pil" and len(set(sizes)) > 1:
        first, other = list(dict.fromkeys(sizes))[:2]
        rule = f"makes one array of all clips, and they differ: {_size(first)} and {_size(other)}"
        raise SettingError("output_type", f"is {output_type!r}, which {rule}; give width and height, or take 'pil'")


def in_form(video: Float[Tensor, "3 F Hpx Wpx"], output_type: OutputType) -> Frames:
    """Return one decoded clip, in [-1, 1] and a little beyond, as frames of a form that is not `latent`."""
    if output_type == "pil":
        return [Image.fromarray(frame) for frame in to_frames(video)]
    unit = (video.detach().float().clamp(-1, 1) + 1) / 2
    if output_type == "pt":
        return rearrange(unit, "C F H W -> F C H W").contiguous()
    return np.ascontiguousarray(rearrange(unit, "C F H W -> F H W C").cpu().numpy())


def together_in_form(clips: Sequence[Frames], output_type: OutputType) -> Frames:
    """Return all clips of a call, each in this form, as one: a list of lists, or an array with an axis of clips.

    Where an interruption has left clips of other lengths it is a list of arrays.
    """
    if output_type == "pil" or len({len(clip) for clip in clips}) > 1:
        return list(clips)
    return np.stack(clips) if output_type == "np" else torch.stack(list(clips))


def _write(path: Path, pixels: np.ndarray, *, fps: Rate) -> None:
    if path.suffix.lower() in VIDEO_SUFFIXES:
        write_video(path, pixels, fps=fps)
        return
    if len(pixels) > 1:
        raise ValueError(f"cannot write {path}: the clip has {len(pixels)} frames; use .mp4, .webm or .gif")
    write_image(path, pixels[0])


def _size(size: tuple[int, int, int]) -> str:
    return f"{size[0]} frames of {size[1]}x{size[2]}"
