"""Pixels of a clip of shapes: signed distances with soft anti-aliased edges, any size and rate."""

import math

import numpy as np

from lumos.shapes.spec import (
    COLOURS,
    EXTRA_COLOURS,
    EXTRA_SHAPES,
    GROUNDS,
    GROWTH,
    SPEED_PER_S,
    TAUGHT_COLOURS,
    TURN_PER_S,
    ObjectSpec,
    ShapeSpec,
)

EDGE_PX = 2.0
"""Width of an outline's ramp: anti-aliasing with a little softness, so that few codes say where an edge runs."""

_STAR_INNER = 0.45  # inner over outer radius of a star
_RING_HOLE = 0.5  # hole over outer radius of a ring
_BAR_WIDTH, _ARM_WIDTH = 0.35, 0.22  # half the width of a bar and of the arms of a cross, over its radius
_CRESCENT_BITE = 0.45, 0.8  # how far away and how large the disc is that bites into a crescent, over its radius
_PALETTE = COLOURS | EXTRA_COLOURS | TAUGHT_COLOURS


def render(
    spec: ShapeSpec, *, width: int = 64, height: int = 64, num_frames: int = 13, fps: int | float = 6
) -> np.ndarray:
    """The clip as uint8 RGB frames [num_frames, height, width, 3]; frame i shows time i / fps seconds."""
    times = np.minimum(np.arange(num_frames) / fps, spec.duration_s)
    ground = np.asarray(GROUNDS[spec.ground], dtype=np.float64)
    frames = np.broadcast_to(ground, (num_frames, height, width, 3)).copy()
    for item in spec.objects:
        cover = _coverage(item, times, width=width, height=height, duration_s=spec.duration_s)[..., None]
        frames = frames * (1 - cover) + np.asarray(_PALETTE[item.colour], dtype=np.float64) * cover
    return np.rint(frames).astype(np.uint8)


def silhouette(shape: str, *, size: int, radius: float, angle: float = 0.0) -> np.ndarray:
    """Coverage in [0, 1], float [size, size], of one shape of `radius` pixels, centred, turned by `angle` degrees."""
    axis = np.arange(size) + 0.5 - size / 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return _soft(_signed_distance(shape, x, y, np.float64(radius), np.float64(angle)))


def pose(item: ObjectSpec, times: np.ndarray, *, duration_s: float) -> tuple[np.ndarray, ...]:
    """Centre x and y (frame sides), radius (shorter sides) and angle (degrees) of an object at each time in seconds."""
    dx, dy = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}.get(item.motion, (0, 0))
    travel = SPEED_PER_S * times
    progress = times / duration_s
    growth = {"grow": GROWTH - 1, "shrink": 1 / GROWTH - 1}.get(item.motion, 0.0)
    angle = TURN_PER_S * times if item.motion == "turn" else np.zeros_like(times)
    return item.x + dx * travel, item.y + dy * travel, item.radius * (1 + growth * progress), angle


def _coverage(item: ObjectSpec, times: np.ndarray, *, width: int, height: int, duration_s: float) -> np.ndarray:
    cx, cy, radius, angle = (p[:, None, None] for p in pose(item, times, duration_s=duration_s))
    x = (np.arange(width) + 0.5)[None, None, :] - cx * width
    y = (np.arange(height) + 0.5)[None, :, None] - cy * height
    x, y = np.broadcast_arrays(x, y)
    return _soft(_signed_distance(item.shape, x, y, radius * min(width, height), angle))


def _soft(distance_px: np.ndarray) -> np.ndarray:
    """Coverage in [0, 1] of a signed distance: an edge fades over `EDGE_PX` pixels, as through a lens."""
    return np.clip(distance_px / EDGE_PX + 0.5, 0, 1)


def _signed_distance(
    shape: str, x: np.ndarray, y: np.ndarray, radius: np.ndarray | float, angle: np.ndarray | float
) -> np.ndarray:
    """Pixels from the outline, positive inside; y points down, angles turn clockwise on the screen."""
    distance, theta = np.hypot(x, y), np.arctan2(x, -y) - np.radians(angle)  # theta 0 points up
    if shape == "circle":
        return radius - distance
    if shape == "ring":
        return np.minimum(radius - distance, distance - _RING_HOLE * radius)
    if shape == "star":
        return _star_distance(distance, theta, radius)
    if shape in EXTRA_SHAPES:
        return _extra_distance(shape, distance * np.sin(theta), distance * np.cos(theta), radius)
    corners = {"triangle": 3, "square": 4}[shape]
    turn = math.pi / corners if shape == "square" else 0.0  # a square rests on a side
    sector = 2 * math.pi / corners
    folded = np.mod(theta - turn, sector) - sector / 2
    return radius * math.cos(sector / 2) - distance * np.cos(folded)


def _extra_distance(shape: str, x: np.ndarray, y: np.ndarray, radius: np.ndarray | float) -> np.ndarray:
    """Distance to the edge of a shape that only training shows, in its own frame."""
    if shape == "crescent":
        away, size = _CRESCENT_BITE
        return np.minimum(radius - np.hypot(x, y), np.hypot(x - away * radius, y) - size * radius)
    width = (_BAR_WIDTH if shape == "bar" else _ARM_WIDTH) * radius
    bar = np.minimum(radius - np.abs(x), width - np.abs(y))
    return bar if shape == "bar" else np.maximum(bar, np.minimum(width - np.abs(x), radius - np.abs(y)))


def _star_distance(distance: np.ndarray, theta: np.ndarray, radius: np.ndarray | float) -> np.ndarray:
    """Distance to the edge from an outer corner to the next inner one, after folding the plane into one half-point."""
    sector = 2 * math.pi / 5
    folded = np.abs(np.mod(theta + sector / 2, sector) - sector / 2)
    px, py = distance * np.cos(folded), distance * np.sin(folded)
    inner_x, inner_y = _STAR_INNER * math.cos(sector / 2), _STAR_INNER * math.sin(sector / 2)
    edge_x, edge_y = inner_x - 1.0, inner_y
    length = math.hypot(edge_x, edge_y)
    return (edge_y * (radius - px) + edge_x * py) / length
