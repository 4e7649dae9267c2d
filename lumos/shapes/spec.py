"""The bundled world: what a clip of coloured shapes is, and which clips training may see.

A clip shows one or two shapes on a plain ground. Each shape stands still, moves along an axis, grows, shrinks or turns.
Lengths are fractions of the frame's shorter side and times are seconds, so one spec renders at any size and rate.
"""

import random
import zlib
from dataclasses import asdict, dataclass, replace
from typing import Annotated

from xllmx.settings.number_range import Range, check_numbers

_PLACE = Range(-100, 100)

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (225, 45, 40),
    "orange": (245, 140, 30),
    "yellow": (250, 220, 60),
    "green": (50, 170, 75),
    "blue": (50, 95, 230),
    "purple": (150, 60, 190),
}
"""Colours of shapes, sRGB 0..255."""

GROUNDS: dict[str, tuple[int, int, int]] = {
    "black": (18, 18, 18),
    "white": (240, 240, 240),
    "gray": (122, 122, 122),
    "pink": (250, 185, 205),
}
"""Colours of grounds, sRGB 0..255; none of them is a shape's colour."""

SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "star", "ring")
EXTRA_COLOURS: dict[str, tuple[int, int, int]] = {
    "brown": (120, 70, 30),
    "lime": (160, 240, 60),
    "navy": (20, 30, 100),
    "sky": (120, 180, 250),
    "lavender": (190, 170, 245),
    "salmon": (240, 150, 130),
    "mint": (165, 240, 190),
    "maroon": (110, 15, 30),
    "olive": (120, 120, 30),
    "cyan": (60, 210, 220),
}
"""Colours that only training shows (`sample_spec(extras=...)`), read from pixels as none of COLOURS: a motion seen in
many more colours and shapes is learnt apart from both (domain randomisation, Tobin et al. 2017)."""
TAUGHT_COLOURS: dict[str, tuple[int, int, int]] = {"white": GROUNDS["white"]}
"""A colour of shapes that the bundled model was never shown, and that can be taught to it (`lumos.shapes.lesson`)."""
EXTRA_SHAPES: tuple[str, ...] = ("cross", "bar", "crescent")
"""Shapes that only training shows; all of them can turn."""
MOTIONS: tuple[str, ...] = ("still", "left", "right", "up", "down", "grow", "shrink", "turn")
RELATIONS: tuple[str, ...] = ("left", "right", "above", "below")
"""`a` stands left of / right of / above / below `b`."""

ROUND_SHAPES = frozenset({"circle", "ring"})
"""Shapes that look the same at every angle, so never turn."""

SPEED_PER_S = 12 / 64
"""Travel of a moving shape, in frame sides a second."""
TURN_PER_S = 45.0
"""Turning of a turning shape, in degrees a second."""
GROWTH = 1.8
"""Final over initial radius of a growing shape (its inverse for a shrinking one), over the whole clip."""

STEP = 1 / 8
"""Centres lie on a grid of this many frame sides (`sample_spec(off_grid=...)` leaves it)."""
_LESS_OR_MORE = 1.1  # the most by which a radius off the grid is larger or smaller than usual
_GAP = 1 / 32  # the least between the two of a pair, in frame sides: two pixels of 64, which is an edge


@dataclass(frozen=True, kw_only=True)
class ObjectSpec:
    """One shape: what it is, where it starts, how it moves."""

    shape: str
    colour: str
    motion: str = "still"
    x: Annotated[float, _PLACE] = 0.5
    """Centre at the first frame, from the left, in frame widths."""
    y: Annotated[float, _PLACE] = 0.5
    """Centre at the first frame, from the top, in frame heights."""
    radius: Annotated[float, Range(0, 100, above=True)] = 0.2
    """Radius at the first frame, in shorter frame sides."""

    def __post_init__(self) -> None:
        check_numbers(self)
        for name, value, allowed in (
            ("shape", self.shape, (*SHAPES, *EXTRA_SHAPES)),
            ("colour", self.colour, (*COLOURS, *EXTRA_COLOURS, *TAUGHT_COLOURS)),
            ("motion", self.motion, MOTIONS),
        ):
            if value not in allowed:
                raise ValueError(f"{name}={value!r} is not one of {', '.join(allowed)}")
        if self.motion == "turn" and self.shape in ROUND_SHAPES:
            raise ValueError(f"a {self.shape} looks the same at every angle: motion='turn' needs another shape")


@dataclass(frozen=True, kw_only=True)
class ShapeSpec:
    """A whole clip: one or two objects on a ground, for a number of seconds."""

    objects: tuple[ObjectSpec, ...]
    ground: str
    duration_s: Annotated[float, Range(0, 10_000, above=True)] = 2.0

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.ground not in GROUNDS:
            raise ValueError(f"ground={self.ground!r} is not one of {', '.join(GROUNDS)}")
        if len(self.objects) not in (1, 2):
            raise ValueError(f"a clip holds one or two objects, not {len(self.objects)}")
        if any(item.colour == self.ground for item in self.objects):
            raise ValueError(f"a {self.ground} shape cannot be seen on {self.ground}: take another colour or ground")

    @property
    def relation(self) -> str | None:
        """Where the first object stands relative to the second, or None for a single object."""
        if len(self.objects) < 2:
            return None
        a, b = self.objects
        if abs(a.x - b.x) >= abs(a.y - b.y):
            return "left" if a.x < b.x else "right"
        return "above" if a.y < b.y else "below"

    @property
    def held_out(self) -> bool:
        """Whether any object is a combination that training never shows."""
        return any(is_held_out(o.colour, o.shape, o.motion) for o in self.objects)

    def to_dict(self) -> dict:
        """A json-able record of the clip."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict) -> "ShapeSpec":
        """The clip of a record made by `to_dict`."""
        objects = tuple(ObjectSpec(**item) for item in record["objects"])
        return cls(**{**record, "objects": objects})


def is_held_out(colour: str, shape: str, motion: str) -> bool:
    """Whether training never shows this colour, shape and motion together (about one combination in seven).

    What has an extra shape, or a colour that is none of COLOURS, is never held out.

    >>> is_held_out("green", "circle", "still"), is_held_out("red", "circle", "still")
    (True, False)
    """
    if colour not in COLOURS or shape in EXTRA_SHAPES:
        return False
    number = list(COLOURS).index(colour) + 2 * SHAPES.index(shape) + 3 * MOTIONS.index(motion)
    return number % 7 == 3


def is_reserved(caption: str) -> bool:
    """Whether this wording is kept for evaluation: one wording in ten, by a hash of its letters."""
    letters = "".join(c for c in caption.lower() if c.isalnum())
    return zlib.crc32(letters.encode()) % 10 == 0


def sample_spec(
    rng: random.Random,
    *,
    num_objects: int | None = None,
    moving: bool = True,
    held_out: bool | None = False,
    extras: int | float = 0,
    off_grid: int | float = 0,
) -> ShapeSpec:
    """A random clip, drawn from `rng`.

    Args:
        rng: owns the randomness.
        num_objects: 1 or 2; None draws one.
        moving: False leaves every object still, as in an image.
        held_out: False draws only what training may see, True only clips with a held-out combination, None any.
        extras: chance that an object's shape is one of EXTRA_SHAPES, and as much again that its colour is an extra one.
        off_grid: chance that the clip's centres lie anywhere that keeps its shapes inside and apart, not on the grid of
            `STEP`, and that their radii are up to a tenth larger or smaller.
    """
    while True:
        count = num_objects or rng.choice((1, 2))
        ground = rng.choice(tuple(GROUNDS))
        draw = _single if count == 1 else _pair
        free = bool(off_grid) and rng.random() < off_grid  # at 0 nothing is drawn for it, as ever
        objects = draw(rng, moving=moving, extras=extras, free=free)
        spec = ShapeSpec(objects=objects, ground=ground)
        if held_out is None or spec.held_out == held_out:
            return spec


def _motion_for(rng: random.Random, shape: str, allowed: tuple[str, ...]) -> str:
    return rng.choice([m for m in allowed if not (m == "turn" and shape in ROUND_SHAPES)])


def _snap(value: float) -> float:
    return round(value / STEP) * STEP


def _start_range(motion: str, axis: str, radius: float, duration_s: float = 2.0) -> tuple[float, float]:
    """Lowest and highest first coordinate that keep the object inside the frame for the whole clip."""
    reach = radius * (GROWTH if motion == "grow" else 1.0) + 1 / 64
    low, high = reach, 1.0 - reach
    travel = SPEED_PER_S * duration_s
    if (motion, axis) in (("left", "x"), ("up", "y")):
        low += travel
    if (motion, axis) in (("right", "x"), ("down", "y")):
        high -= travel
    return low, high


def _coordinate(rng: random.Random, low: float, high: float, *, free: bool) -> float:
    if free and low < high:
        return rng.uniform(low, high)
    first, last = -(-low // STEP), high // STEP
    if last < first:
        return _snap((low + high) / 2)
    return rng.randint(int(first), int(last)) * STEP


def _look(rng: random.Random, extras: int | float) -> tuple[str, str]:
    """A shape and a colour, each an extra one with the chance `extras`; at 0 nothing is drawn for it, as ever."""
    shapes = EXTRA_SHAPES if extras and rng.random() < extras else SHAPES
    colours = EXTRA_COLOURS if extras and rng.random() < extras else COLOURS
    return rng.choice(shapes), rng.choice(tuple(colours))


def _radius(rng: random.Random, usual: float, *, free: bool) -> float:
    return usual * rng.uniform(1 / _LESS_OR_MORE, _LESS_OR_MORE) if free else usual


def _single(rng: random.Random, *, moving: bool, extras: int | float, free: bool) -> tuple[ObjectSpec, ...]:
    shape, colour = _look(rng, extras)
    motion = _motion_for(rng, shape, MOTIONS) if moving else "still"
    usual = {"grow": 10 / 64, "shrink": 18 / 64}.get(motion) or rng.choice((12 / 64, 15 / 64))
    radius = _radius(rng, usual, free=free)
    x = _coordinate(rng, *_start_range(motion, "x", radius), free=free)
    y = _coordinate(rng, *_start_range(motion, "y", radius), free=free)
    return (ObjectSpec(shape=shape, colour=colour, motion=motion, x=x, y=y, radius=radius),)


def _pair(rng: random.Random, *, moving: bool, extras: int | float, free: bool) -> tuple[ObjectSpec, ...]:
    """Two objects side by side or one above the other; at most one of them moves, never towards the other."""
    side_by_side = rng.random() < 0.5
    lanes = ("still", "up", "down", "turn", "grow", "shrink") if side_by_side else ("still", "left", "right", "turn")
    mover = rng.choice((0, 1, None)) if moving else None
    places = [0.25, 0.75] if rng.random() < 0.5 else [0.75, 0.25]
    objects: list[ObjectSpec] = []
    for index in range(2):
        shape, colour = _look(rng, extras)
        if index == 1 and rng.random() < 0.3:
            shape = objects[0].shape
            colour = objects[0].colour if rng.random() < 0.5 else colour
        motion = _motion_for(rng, shape, lanes[1:]) if index == mover else "still"
        radius = _radius(rng, {"grow": 8 / 64, "shrink": 14 / 64}.get(motion) or 12 / 64, free=free)
        along = places[index]
        across = _coordinate(rng, *_start_range(motion, "y" if side_by_side else "x", radius), free=free)
        x, y = (along, across) if side_by_side else (across, along)
        objects.append(ObjectSpec(shape=shape, colour=colour, motion=motion, x=x, y=y, radius=radius))
    if free:
        objects = _spread(rng, objects, axis="x" if side_by_side else "y")
    if not _apart(objects, side_by_side=side_by_side):
        return _pair(rng, moving=moving, extras=extras, free=free)
    return tuple(objects)


def _spread(rng: random.Random, objects: list[ObjectSpec], *, axis: str) -> list[ObjectSpec]:
    """The pair anywhere along its axis where both stay inside and apart, in the order in which they stand."""
    first, second = sorted(objects, key=lambda item: getattr(item, axis))
    low, high = _start_range(first.motion, "", first.radius)[0], _start_range(second.motion, "", second.radius)[1]
    widest = sum(item.radius * (GROWTH if item.motion == "grow" else 1.0) for item in objects)
    slack = high - low - widest - _GAP
    before, until = sorted((rng.random(), rng.random()))
    places = {id(first): low + slack * before, id(second): high - slack * (1 - until)}
    along = [places[id(item)] for item in objects]
    if axis == "x":
        return [replace(item, x=place) for item, place in zip(objects, along, strict=True)]
    return [replace(item, y=place) for item, place in zip(objects, along, strict=True)]


def _apart(objects: list[ObjectSpec], *, side_by_side: bool) -> bool:
    """Whether the pair's relation is beyond doubt: its centres are clearly further apart along its axis than across."""
    a, b = objects
    along, across = (abs(a.x - b.x), abs(a.y - b.y)) if side_by_side else (abs(a.y - b.y), abs(a.x - b.x))
    return across <= 0.55 * along
