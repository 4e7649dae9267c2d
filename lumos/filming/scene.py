"""What a filmed clip shows: a picture as the background, and up to two things before it that move by themselves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lumos.filming.camera import Camera, film
from lumos.filming.picture import Picture

_FASTEST_PX = 4.0
"""A frame, of what pans or moves; slow is drawn oftener than fast."""
_VIEW_PX = (64, 192)
"""Heights of the whole view, of which a clip is a window: from all of a picture in few pixels to a detail in many."""
_BENDS = (2, 3, 5)
"""How often the outline of a thing goes in and out."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A disc with a bent outline that moves evenly; lengths in pixels of the clip."""

    x: float
    """Centre in the first frame."""
    y: float
    """The same."""
    step_x: float
    """A frame."""
    step_y: float
    """A frame."""
    radius: float
    """Mean over the outline."""
    bends: tuple[tuple[float, float], ...] = ()
    """(share of the radius, phase) of each of the waves of the outline, in radians."""
    softness: float = 0.7
    """Of the edge: pixels over which it fades."""

    def cover(self, *, num_frames: int, height: int, width: int) -> Float[Tensor, "F H W"]:
        """Return how much of each pixel the thing covers, 0..1."""
        step = torch.arange(num_frames, dtype=torch.float32)[:, None, None]
        y = torch.arange(height, dtype=torch.float32)[None, :, None] + 0.5 - (self.y + step * self.step_y)
        x = torch.arange(width, dtype=torch.float32)[None, None, :] + 0.5 - (self.x + step * self.step_x)
        angle = torch.atan2(y, x)
        edge = torch.full_like(angle, self.radius)
        for often, (share, phase) in zip(_BENDS, self.bends, strict=False):
            edge = edge + self.radius * share * torch.cos(often * angle + phase)
        return ((edge - torch.hypot(x, y)) / self.softness + 0.5).clamp(0, 1)


def scene(
    pictures: Sequence[Picture], generator: torch.Generator, *, num_frames: int, height: int, width: int
) -> UInt8[Tensor, "3 F H W"]:
    """Return a clip drawn from `generator`: pictures, camera, things, light and colour."""
    size = {"num_frames": num_frames, "height": height, "width": width}
    picture = _one_of(pictures, generator)
    blur = int(_uniform(generator, 0, 1) ** 2 * 3)
    clip = film(picture, draw_camera(picture, generator), **size, blur=blur)
    for _ in range(int(_uniform(generator, 0, 1) ** 2 * 3)):
        thing = draw_thing(generator, height=height, width=width)
        surface = _one_of(pictures, generator)
        camera = draw_camera(surface, generator, pan=(-thing.step_x, -thing.step_y))
        cover = thing.cover(**size)
        clip = torch.lerp(clip, film(surface, camera, **size), cover)
    if _uniform(generator, 0, 1) < 0.5:
        clip = clip.flip(-1)
    return _lit(clip, generator).round().clamp(0, 255).to(torch.uint8)


def draw_camera(picture: Picture, generator: torch.Generator, *, pan: tuple[float, float] | None = None) -> Camera:
    """Return a camera over a picture; `pan` is given where the picture moves with a thing."""
    x, y = _uniform(generator, 0.1, 0.9) * picture.width_px, _uniform(generator, 0.1, 0.9) * picture.height_px
    view = math.exp(_uniform(generator, math.log(_VIEW_PX[0]), math.log(_VIEW_PX[1])))
    scale = max(0.75, picture.height_px * _uniform(generator, 0.4, 1.0) / view)
    drawn = _steps(generator, still=0.3)
    zoom = math.exp(_uniform(generator, -0.02, 0.02)) if _uniform(generator, 0, 1) < 0.5 else 1.0
    angle = _uniform(generator, -10, 10) if _uniform(generator, 0, 1) < 0.3 else 0.0
    turn = _uniform(generator, -1.5, 1.5) if _uniform(generator, 0, 1) < 0.3 else 0.0
    pan_x, pan_y = drawn if pan is None else pan
    return Camera(x=x, y=y, scale=scale, pan_x=pan_x, pan_y=pan_y, zoom=zoom, angle=angle, turn=turn)


def draw_thing(generator: torch.Generator, *, height: int, width: int) -> Thing:
    """Return a thing that is in the frame at first, from a tenth to two fifths of it across."""
    x, y = _uniform(generator, 0, width), _uniform(generator, 0, height)
    radius = _uniform(generator, 0.1, 0.4) * min(height, width)
    bends = tuple((_uniform(generator, 0, 0.25), _uniform(generator, 0, 2 * math.pi)) for _ in _BENDS)
    step_x, step_y = _steps(generator, still=0.2)
    softness = _uniform(generator, 0.7, 3.0)
    return Thing(x=x, y=y, step_x=step_x, step_y=step_y, radius=radius, bends=bends, softness=softness)


def _lit(clip: Float[Tensor, "3 F H W"], generator: torch.Generator) -> Float[Tensor, "3 F H W"]:
    """Return the clip in other light: brighter or darker, and going on so; with more or less colour."""
    light, drift = math.exp(_uniform(generator, -0.4, 0.3)), _uniform(generator, -0.01, 0.01)
    colour = _uniform(generator, 0.4, 1.4)
    grey = clip.mean(dim=0, keepdim=True)
    steps = torch.arange(clip.shape[1], dtype=clip.dtype)[None, :, None, None]
    return (grey + colour * (clip - grey)) * light * (1 + drift * steps)


def _steps(generator: torch.Generator, *, still: float) -> tuple[float, float]:
    """Return (x, y) pixels a frame in any direction; with the chance `still` none."""
    speed = _FASTEST_PX * _uniform(generator, 0, 1) ** 2 if _uniform(generator, 0, 1) >= still else 0.0
    angle = _uniform(generator, 0, 2 * math.pi)
    return speed * math.cos(angle), speed * math.sin(angle)


def _one_of(pictures: Sequence[Picture], generator: torch.Generator) -> Picture:
    return pictures[int(torch.randint(len(pictures), (), generator=generator))]


def _uniform(generator: torch.Generator, low: int | float, high: int | float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))
