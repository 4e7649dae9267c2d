"""Blobs of a clip: what differs from the plain ground, frame by frame, each with its soft outline."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

FOREGROUND_DISTANCE = 45.0
"""RGB distance from the ground above which a pixel may belong to an object; shapes and grounds are 96 or more apart."""
SMALLEST_AREA = 0.003
"""Blobs below this fraction of the squared shorter side are specks (the smallest shape has 0.011)."""
OFF_LINE_DISTANCE = 45.0
"""RGB distance from the line between ground and blob colour above which a pixel has another colour altogether."""
_ANALYSED_PX = 64
_MARGIN_PX = 2


@dataclass(frozen=True, kw_only=True)
class Blob:
    """One connected object in one frame; lengths in analysed pixels."""

    frame: int
    colour: np.ndarray
    """Colour of the interior, float RGB [3]."""
    purity: float
    """Share of the interior that has this colour, in [0, 1]."""
    cover: np.ndarray
    """Coverage of each pixel of the window around it, float [h, w], about 0 outside and 1 inside."""
    area: float
    x: float
    y: float
    """Centre of mass of the coverage, in pixels from the frame's left and top."""
    left: int
    top: int
    """First column and row of the window."""


def shrink(frames: np.ndarray) -> np.ndarray:
    """The clip as float32 [F, h, w, 3], large frames averaged down by a whole factor to 64..127 pixels a side."""
    factor = max(1, min(frames.shape[1:3]) // _ANALYSED_PX)
    if factor == 1:
        return frames.astype(np.float32)
    num_frames, height, width = frames.shape[0], frames.shape[1] // factor, frames.shape[2] // factor
    kept = frames[:, : height * factor, : width * factor]
    return kept.reshape(num_frames, height, factor, width, factor, 3).mean(axis=(2, 4), dtype=np.float32)


def blobs_of(frames: np.ndarray, grounds: np.ndarray) -> list[Blob]:
    """The blobs of all frames [F, h, w, 3] in front of each frame's ground colour [F, 3], frame by frame."""
    offset = frames - grounds[:, None, None]
    distance = np.sqrt(np.einsum("fhwc,fhwc->fhw", offset, offset))
    labels, num_labels = label_components(distance > FOREGROUND_DISTANCE)
    flat = labels.ravel()
    inside = np.flatnonzero(flat)
    order = inside[np.argsort(flat[inside], kind="stable")]
    bounds = np.searchsorted(flat[order], np.arange(1, num_labels + 2))
    smallest = max(6.0, SMALLEST_AREA * min(frames.shape[1:3]) ** 2)
    blobs = []
    for first, last in pairwise(bounds):
        if last - first >= smallest:
            blobs.append(_blob(order[first:last], offset, distance, labels, grounds))
    return [blob for blob in blobs if blob.area >= smallest]


def label_components(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Labels 1..n of the 4-connected regions inside each frame of a boolean [F, h, w] (0 where False), and n.

    Runs of a row are nodes, overlaps of runs in neighbouring rows are edges; the smallest number floods each region.
    """
    num_frames, height, width = mask.shape
    rows = np.zeros((num_frames * height, width + 2), dtype=np.int8)
    rows[:, 1:-1] = mask.reshape(-1, width)
    steps = np.diff(rows, axis=1).ravel()  # a run starts at +1 and ends before -1; rows cannot run into each other
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    above, below = _overlaps(starts, ends, width=width, height=height)
    roots = np.arange(len(starts))
    while True:
        lowest = np.minimum(roots[above], roots[below])
        merged = roots.copy()
        np.minimum.at(merged, roots[above], lowest)
        np.minimum.at(merged, roots[below], lowest)
        merged = merged[merged]
        if np.array_equal(merged, roots):
            break
        roots = merged
    _, numbers = np.unique(roots, return_inverse=True)
    labels = np.zeros(num_frames * height * width, dtype=np.int64)
    labels[mask.ravel()] = np.repeat(numbers + 1, ends - starts)
    return labels.reshape(mask.shape), int(numbers.max(initial=-1)) + 1


def _overlaps(starts: np.ndarray, ends: np.ndarray, *, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (run, run of the next row that touches it), as two index arrays."""
    stride = width + 1
    not_last = (starts // stride) % height != height - 1
    runs = np.flatnonzero(not_last)
    first = np.searchsorted(ends, starts[runs] + stride, side="right")  # ends after my start
    last = np.searchsorted(starts, ends[runs] + stride, side="left")  # starts before my end
    counts = np.maximum(last - first, 0)
    above = np.repeat(runs, counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return above, np.repeat(first, counts) + within


def _blob(
    pixels: np.ndarray, offset: np.ndarray, distance: np.ndarray, labels: np.ndarray, grounds: np.ndarray
) -> Blob:
    _, height, width = labels.shape
    frame = int(pixels[0]) // (height * width)
    y, x = np.divmod(pixels - frame * height * width, width)
    far = distance[frame, y, x]
    interior = far >= np.percentile(far, 50)
    direction = np.median(offset[frame, y[interior], x[interior]], axis=0)
    squared = float(direction @ direction)
    # Only its own pixels and ground beside it count: another object's pixels in the window do not.
    top, left = max(int(y.min()) - _MARGIN_PX, 0), max(int(x.min()) - _MARGIN_PX, 0)
    window = (frame, slice(top, int(y.max()) + 1 + _MARGIN_PX), slice(left, int(x.max()) + 1 + _MARGIN_PX))
    own = (labels[window] == 0) | (labels[window] == labels[frame, y[0], x[0]])
    cover = np.where(own, np.clip(offset[window] @ direction / squared, -0.25, 1.25), 0.0)
    area = float(cover.sum())
    mass = max(area, 1e-6)
    return Blob(
        frame=frame,
        colour=grounds[frame] + direction,
        purity=_purity(offset[frame, y, x], direction),
        cover=cover,
        area=area,
        x=left + float(cover.sum(axis=0) @ (np.arange(cover.shape[1]) + 0.5)) / mass,
        y=top + float(cover.sum(axis=1) @ (np.arange(cover.shape[0]) + 0.5)) / mass,
        left=left,
        top=top,
    )


def _purity(offsets: np.ndarray, direction: np.ndarray) -> float:
    """Share of pixels on the line from ground to blob colour: an edge mixes the two, another colour is off it."""
    along = offsets @ direction / float(direction @ direction)
    off_line = offsets - along[:, None] * direction
    return float(np.mean(np.einsum("nc,nc->n", off_line, off_line) < OFF_LINE_DISTANCE**2))
