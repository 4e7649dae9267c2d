"""Going on from a clip: which of its frames are coded, and how they and the new ones join.

The first latent frame is coded from one frame, each later one from four. So that the codes end where the clip ends, its
frames are counted from the end; those that are too few for a latent frame, three at most, are not coded::

    14 frames      0   1 | 2 3 4 5 | 6 7 8 9 | 10 11 12 13 || new ones by fours
    coded              0 |    1    |    2    |      3      ||  4 ...

Of a clip longer than the window its last frames are coded, as many as the window holds: the first of them alone, as the
first of a clip. What comes back is the given frames themselves, and behind them the new ones, decoded behind the codes
of the given: at the joint the picture changes by what the visual tokenizer loses, and by nothing else.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from lumos.conventions.output import Frames, OutputType, in_form
from lumos.lumos1.sampling.settings import Settings
from lumos.lumos1.sequence import num_frames_of
from lumos.media.clip_pixels import ClipInput
from lumos.media.first_frames import first_frames_of
from lumos.media.frames import to_tensor


def first_of(image: Any, given: ClipInput | str | Path | None) -> Any:
    """Return what clips begin with, as a caller gives it: `image`, or the clip `given` for all of them.

    Raises:
        ValueError: both are there, or `given` is no clip.
    """
    if given is None:
        return image
    if image is not None:
        raise ValueError("image and given are both what the clip begins with; give one of them")
    return first_frames_of(given)


def coded_part(frames: UInt8[np.ndarray, "F Hpx Wpx 3"], settings: Settings) -> Float[Tensor, "1 3 f Hpx Wpx"]:
    """Return the frames of a clip that are coded, in [-1, 1]."""
    return to_tensor(frames[len(frames) - num_frames_of(settings.num_given) :])[None]


def new_part(video: Float[Tensor, "3 f Hpx Wpx"], settings: Settings) -> Float[Tensor, "3 g Hpx Wpx"]:
    """Return what of a decoded clip is new, as much as is asked for."""
    coded = num_frames_of(settings.num_given)
    return video[:, coded : coded + settings.num_output_frames - settings.given_frames]


def in_form_behind(
    frames: UInt8[np.ndarray, "F Hpx Wpx 3"], new: Float[Tensor, "3 g Hpx Wpx"], output_type: OutputType
) -> Frames:
    """Return the frames of a clip with the new ones behind, in a form that is not `latent`."""
    if output_type == "pil":
        return [*map(Image.fromarray, frames), *in_form(new, output_type)]
    before = in_form(to_tensor(frames).to(new.device), output_type)
    behind = in_form(new, output_type)
    return np.concatenate([before, behind]) if output_type == "np" else torch.cat([before, behind])
