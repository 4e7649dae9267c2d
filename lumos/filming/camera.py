"""A camera over a picture: where it looks at first, and how it pans, zooms and turns from frame to frame."""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from lumos.filming.picture import Picture
from xllmx.settings.number_range import Range, check_numbers

_FAR = Range(-(10**6), 10**6)


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Where a clip looks. Frame 0 looks at (x, y) with `scale`; everything goes on evenly from there."""

    x: Annotated[float, _FAR]
    """Centre of the first frame, from the left, in pixels of the picture."""
    y: Annotated[float, _FAR]
    """The same from the top."""
    scale: Annotated[float, Range(0, 10**6, above=True)]
    """Pixels of the picture to a pixel of the first frame."""
    pan_x: Annotated[float, _FAR] = 0.0
    """To the right, in pixels of the first frame a frame."""
    pan_y: Annotated[float, _FAR] = 0.0
    """The same down."""
    zoom: Annotated[float, Range(0, 100, above=True)] = 1.0
    """What the scale is multiplied with from frame to frame; below 1 things become larger."""
    angle: Annotated[float, _FAR] = 0.0
    """Of the first frame, clockwise on the picture, in degrees."""
    turn: Annotated[float, _FAR] = 0.0
    """Degrees a frame."""

    def __post_init__(self) -> None:
        check_numbers(self)

    def places(self, *, num_frames: int, height: int, width: int) -> Float[Tensor, "F H W 2"]:
        """Return where in the picture the centre of every pixel of a clip looks: (x, y) in pixels of the picture.

        Pixel (i, j) of frame f, u = (j + 1/2 - W/2, i + 1/2 - H/2): c + f·s·p + s·zoom^f·R(angle + f·turn)·u.
        """
        step = torch.arange(num_frames, dtype=torch.float32)[:, None, None]
        down = torch.arange(height, dtype=torch.float32)[None, :, None] + 0.5 - height / 2
        along = torch.arange(width, dtype=torch.float32)[None, None, :] + 0.5 - width / 2
        scale = self.scale * self.zoom**step
        angle = (self.angle + step * self.turn) * (math.pi / 180)
        cos, sin = scale * angle.cos(), scale * angle.sin()
        x = self.x + step * self.scale * self.pan_x + cos * along - sin * down
        y = self.y + step * self.scale * self.pan_y + sin * along + cos * down
        return torch.stack([x, y], dim=-1)


def film(
    picture: Picture, camera: Camera, *, num_frames: int, height: int, width: int, blur: int = 0
) -> Float[Tensor, "3 F H W"]:
    """Return the clip that a camera takes of a picture, 0..255.

    Args:
        picture: what it looks at.
        camera: where it looks.
        num_frames: frames.
        height: of a frame, in pixels.
        width: of a frame, in pixels.
        blur: levels of the picture that are left out beyond what the scale asks for: out of focus.
    """
    middle = camera.scale * camera.zoom ** ((num_frames - 1) / 2)
    level = max(0, round(math.log2(middle))) + blur
    return picture.at(camera.places(num_frames=num_frames, height=height, width=width), level=level)
