"""Which shape a blob is: its soft outline, brought to one size, against rendered silhouettes at all angles."""

import functools
import math
from dataclasses import dataclass

import numpy as np

from lumos.shapes.render import silhouette
from lumos.shapes.segment import Blob
from lumos.shapes.spec import SHAPES

SYMMETRY_DEG = {"circle": 0.0, "square": 90.0, "triangle": 120.0, "star": 72.0, "ring": 0.0}
"""Turn after which a shape looks the same; 0 for the round ones."""

_GRID = 32  # samples along a side of the common window
_SPAN = 1.0  # half the window, in square roots of the blob's area
_ANGLE_STEP_DEG = 2.0
_SOFTNESS = (0.7, 1.8, 3.0)  # blur of the silhouettes, in samples: a small blob has a wide edge
_AREA_PX = 400  # the silhouette whose area gives each shape's area per squared radius


@dataclass(frozen=True, kw_only=True)
class Library:
    """All silhouettes: `images` [M, 32 * 32], and the shape (index into SHAPES) and angle in degrees of each, [M]."""

    images: np.ndarray
    shapes: np.ndarray
    angles: np.ndarray


@functools.cache
def area_per_squared_radius(shape: str) -> float:
    """The area of a shape of radius 1, measured on its own silhouette."""
    radius = _AREA_PX * 0.45
    return float(silhouette(shape, size=_AREA_PX, radius=radius).sum() / radius**2)


@functools.cache
def library() -> Library:
    """The silhouettes of every shape at one area, every angle that looks different, and a few softnesses."""
    images, shapes, angles = [], [], []
    side_of_unit_area = _GRID / (2 * _SPAN)
    for index, shape in enumerate(SHAPES):
        radius = side_of_unit_area / math.sqrt(area_per_squared_radius(shape))
        for angle in np.arange(0.0, max(SYMMETRY_DEG[shape], 1e-6), _ANGLE_STEP_DEG):
            sharp = silhouette(shape, size=_GRID, radius=radius, angle=float(angle))
            for softness in _SOFTNESS:
                images.append((_blur(softness) @ sharp @ _blur(softness).T).ravel())
                shapes.append(index)
                angles.append(angle)
    return Library(images=np.array(images, dtype=np.float32), shapes=np.array(shapes), angles=np.array(angles))


def errors_and_angles(blobs: list[Blob]) -> tuple[np.ndarray, np.ndarray]:
    """For each blob and shape, how much of the shape is missed ([num blobs, num shapes], 0 perfect), at which angle.

    The error is the squared difference of the two coverages over the square of the shape's, at the best angle.
    """
    known = library()
    patches = np.stack([_patch(blob).ravel() for blob in blobs]).astype(np.float32)
    power = np.einsum("md,md->m", known.images, known.images)
    differences = np.einsum("nd,nd->n", patches, patches)[:, None] - 2 * patches @ known.images.T + power
    errors = np.empty((len(blobs), len(SHAPES)))
    angles = np.empty_like(errors)
    for index in range(len(SHAPES)):
        of_shape = known.shapes == index
        relative = differences[:, of_shape] / power[of_shape]
        best = relative.argmin(axis=1)
        errors[:, index] = relative[np.arange(len(blobs)), best]
        angles[:, index] = known.angles[of_shape][best]
    return errors, angles


def _patch(blob: Blob) -> np.ndarray:
    """The blob's coverage sampled bilinearly around its centre on the common grid, float [32, 32]."""
    scale = math.sqrt(blob.area) * 2 * _SPAN / _GRID
    steps = (np.arange(_GRID) + 0.5 - _GRID / 2) * scale - 0.5  # -0.5: the first pixel's centre lies at 0.5
    rows = _bilinear(blob.y - blob.top + steps, blob.cover.shape[0])
    columns = _bilinear(blob.x - blob.left + steps, blob.cover.shape[1])
    return rows @ blob.cover @ columns.T


def _bilinear(places: np.ndarray, size: int) -> np.ndarray:
    """Weights [len(places), size] that read a line of `size` samples at fractional places, 0 beyond its ends."""
    return np.maximum(0.0, 1.0 - np.abs(places[:, None] - np.arange(size)))


@functools.cache
def _blur(softness: float) -> np.ndarray:
    """The matrix that blurs a line of the grid by a Gaussian of `softness` samples."""
    gap = np.arange(_GRID)[:, None] - np.arange(_GRID)
    return np.exp(-0.5 * (gap / softness) ** 2) / (softness * math.sqrt(2 * math.pi))
