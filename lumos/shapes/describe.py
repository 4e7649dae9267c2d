"""A clip read back from its pixels by rule: ground, objects, colours, shapes, places, motions. Nothing here is learned.

The reader says only what it sees: a blob that looks like no shape, or has no colour of the palette, is `unknown`; two
motions at once are `other`; blobs that come and go are not objects.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from lumos.shapes.segment import Blob, blobs_of, shrink
from lumos.shapes.silhouettes import SYMMETRY_DEG, area_per_squared_radius, errors_and_angles
from lumos.shapes.spec import COLOURS, GROUNDS, SHAPES, TAUGHT_COLOURS

UNKNOWN = "unknown"
"""A shape or colour outside the world."""
OTHER = "other"
"""A motion that no single word of the world describes."""

PALETTE = COLOURS | TAUGHT_COLOURS
"""Colours that a shape is read as having; what is read as white is too far from the six to be read as one of them."""
COLOUR_TOLERANCE = 75.0
"""RGB distance to the nearest colour of the palette above which a colour is unknown."""
GROUND_TOLERANCE = 60.0
SHAPE_TOLERANCE = 0.13
"""Error of the best silhouette above which a shape is unknown."""
AGREEMENT = 0.6
"""Share of the clip through which an object must be there, keep its shape and keep its colour."""
FULL_TRAVEL, FULL_GROWTH, FULL_TURN_DEG = 0.375, 2.0, 90.0
"""Travel (frame sides), radius ratio and turn of a two-second clip of the world."""
LEAST_MOTION = 0.4
"""Fraction of the full travel, growth (by logarithm) or turn from which a motion is one; two at once are `other`."""
_REACH = 0.25  # frame sides that an object may jump from one frame to the next
_COHERENCE = 0.7  # below it the angles of a blob follow no steady turn


@dataclass(frozen=True, kw_only=True)
class ObjectReading:
    """One object as seen; x, y (frame sides) and radius (shorter sides) are those of the first frame."""

    shape: str
    colour: str
    motion: str
    x: float
    y: float
    radius: float
    travel_x: float
    travel_y: float
    """Way over the whole clip, in frame widths and heights."""
    growth: float
    """Last over first radius."""
    turn_deg: float
    """Turn over the whole clip, clockwise."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a clip shows."""

    objects: tuple[ObjectReading, ...]
    """From left to right."""
    ground: str
    """A colour of GROUNDS, or `unknown`."""

    @property
    def relation(self) -> str | None:
        """How the first object stands to the second in the first frame; None unless there are two."""
        return relation_of(*self.objects) if len(self.objects) == 2 else None


def describe(frames: UInt8[np.ndarray, "F H W 3"]) -> Description:
    """The objects, their looks and motions, and the ground of a clip; a single frame shows everything still.

    Any size and number of frames; motions count over the whole clip, so the rate does not matter.
    """
    small = shrink(frames)
    num_frames, height, width, _ = small.shape
    grounds = np.median(small.reshape(num_frames, -1, 3), axis=1)
    tracks = _tracks(blobs_of(small, grounds), reach=_REACH * max(height, width))
    lasting = [track for track in tracks if len(track) >= AGREEMENT * num_frames]
    readings = [_read(track, num_frames=num_frames, height=height, width=width) for track in lasting]
    ground = _nearest(np.median(grounds, axis=0), GROUNDS, tolerance=GROUND_TOLERANCE)
    return Description(objects=tuple(sorted(readings, key=lambda o: o.x)), ground=ground)


def relation_of(a: ObjectReading, b: ObjectReading) -> str:
    """Where `a` stands relative to `b` in the first frame, along the axis on which they are further apart."""
    if abs(a.x - b.x) >= abs(a.y - b.y):
        return "left" if a.x < b.x else "right"
    return "above" if a.y < b.y else "below"


def _tracks(blobs: list[Blob], *, reach: float) -> list[list[Blob]]:
    """Blobs of one object through the frames: each joins the nearest track of like colour that its frame left free."""
    tracks: list[list[Blob]] = []
    for blob in blobs:
        costs = {
            index: _step_cost(track[-1], blob, reach=reach)
            for index, track in enumerate(tracks)
            if track[-1].frame < blob.frame
        }
        best = min(costs, key=costs.__getitem__, default=None)
        if best is None or costs[best] > 1.0:
            tracks.append([blob])
        else:
            tracks[best].append(blob)
    return tracks


def _step_cost(last: Blob, blob: Blob, *, reach: float) -> float:
    distance = math.hypot(last.x - blob.x, last.y - blob.y) / reach
    change = float(np.linalg.norm(last.colour - blob.colour)) / (4 * COLOUR_TOLERANCE)
    return distance + min(change, 0.5)  # a change of colour alone does not make another object


def _read(track: list[Blob], *, num_frames: int, height: int, width: int) -> ObjectReading:
    frames = np.array([blob.frame for blob in track])
    areas = np.array([blob.area for blob in track])
    shape, angles = _shape_of(track, areas)
    last = num_frames - 1
    x, travel_x = _line(frames, np.array([blob.x for blob in track]) / width, last=last)
    y, travel_y = _line(frames, np.array([blob.y for blob in track]) / height, last=last)
    per_area = area_per_squared_radius(shape if shape != UNKNOWN else "circle")
    radius, widening = _line(frames, np.sqrt(areas / per_area) / min(height, width), last=last)
    growth = max(radius + widening, 1e-3) / max(radius, 1e-3)
    turn_deg = _turn(frames, angles, symmetry_deg=SYMMETRY_DEG.get(shape, 0.0), last=last)
    return ObjectReading(
        shape=shape,
        colour=_colour_of(track),
        motion=_motion(travel_x, travel_y, growth=growth, turn_deg=turn_deg),
        x=x,
        y=y,
        radius=radius,
        travel_x=travel_x,
        travel_y=travel_y,
        growth=growth,
        turn_deg=turn_deg,
    )


def _shape_of(track: list[Blob], areas: np.ndarray) -> tuple[str, np.ndarray]:
    """The best-fitting shape if it fits most of the clip, and its angle in each frame; large blobs weigh more."""
    errors, angles = errors_and_angles(track)
    weights = areas / areas.sum()
    best = int((weights @ errors).argmin())
    fits = (errors.argmin(axis=1) == best) & (errors[:, best] < SHAPE_TOLERANCE)
    name = SHAPES[best] if weights[fits].sum() >= AGREEMENT else UNKNOWN
    return name, angles[:, best]


def _colour_of(track: list[Blob]) -> str:
    """The palette colour that the blob has through most of the clip."""
    names = [
        _nearest(blob.colour, PALETTE, tolerance=COLOUR_TOLERANCE) if blob.purity >= AGREEMENT else UNKNOWN
        for blob in track
    ]
    most = max(set(names), key=names.count)
    return most if names.count(most) >= AGREEMENT * len(names) else UNKNOWN


def _nearest(colour: np.ndarray, palette: dict[str, tuple[int, int, int]], *, tolerance: float) -> str:
    distances = np.linalg.norm(np.array(list(palette.values())) - colour, axis=1)
    best = int(distances.argmin())
    return list(palette)[best] if distances[best] <= tolerance else UNKNOWN


def _line(frames: np.ndarray, values: np.ndarray, *, last: int) -> tuple[float, float]:
    """Value at frame 0 and change up to frame `last` of the line through the values, by the median of all slopes."""
    if len(frames) < 2:
        return float(values[0]), 0.0
    i, j = np.triu_indices(len(frames), k=1)
    slope = float(np.median((values[j] - values[i]) / (frames[j] - frames[i])))
    return float(np.median(values - slope * frames)), slope * last


def _turn(frames: np.ndarray, angles: np.ndarray, *, symmetry_deg: float, last: int) -> float:
    """Degrees turned up to frame `last`, from angles known up to a symmetry: the rate at which they stay in phase.

    Rates up to half a symmetry a frame can be told apart. Angles that keep to no rate have not turned: 0.
    """
    if not symmetry_deg or len(frames) < 3:
        return 0.0
    fastest = min(symmetry_deg / 2 * last, 270.0)
    totals = np.arange(-fastest, fastest + 0.5)
    phases = (angles[None, :] - totals[:, None] * frames / last) * (2 * math.pi / symmetry_deg)
    coherence = np.abs(np.exp(1j * phases).mean(axis=1))
    best = int(coherence.argmax())
    return float(totals[best]) if coherence[best] >= _COHERENCE else 0.0


def _motion(travel_x: float, travel_y: float, *, growth: float, turn_deg: float) -> str:
    strengths = {
        "right" if travel_x > 0 else "left": abs(travel_x) / FULL_TRAVEL,
        "down" if travel_y > 0 else "up": abs(travel_y) / FULL_TRAVEL,
        "grow" if growth > 1 else "shrink": abs(math.log(growth)) / math.log(FULL_GROWTH),
        "turn": abs(turn_deg) / FULL_TURN_DEG,
    }
    seen = [motion for motion, strength in strengths.items() if strength >= LEAST_MOTION]
    if len(seen) > 1:
        return OTHER
    return seen[0] if seen else "still"
