"""How long clips are after the cut, and which are too long, by their shapes alone; imported without torch."""

import numpy as np

from lumos.lumos1.sequence_lengths import num_latent_frames, sequence_length
from xllmx.words import plural


def cut_shapes(shapes: np.ndarray, duration_s: int | None) -> np.ndarray:
    """Return rows of `SHAPE_COLUMNS` as `cut_clip` leaves the clips: fewer frames where one is longer."""
    cut = shapes.copy()
    if duration_s is None:
        return cut
    for row in np.flatnonzero(shapes[:, 5] > duration_s):
        cut[row, 1] = min(int(cut[row, 1]), num_latent_frames(int(cut[row, 4]) * duration_s))
        cut[row, 5] = duration_s
    return cut


def frames_within(num_prompt_ids: int, grid: tuple[int, ...], max_length: int) -> int:
    """Return how many whole latent frames of a clip of shape (T, H, W) fit into so many tokens; 0 if not one."""
    frames, height, width = grid
    one, two = (sequence_length(num_prompt_ids, (count, height, width)) for count in (1, 2))
    return max(0, min(frames, 1 + (max_length - one) // (two - one)))


def dropped_of(shapes: np.ndarray, lengths: np.ndarray, *, max_length: int, action: str) -> np.ndarray:
    """Return a mask, True of each kind of clip that is left out: with `drop` too long, with `cut` if no frame fits.

    Args:
        shapes: rows of `SHAPE_COLUMNS` of kinds of clips as `duration_s` leaves them; -1 where not known.
        lengths: tokens of each kind.
        max_length: tokens at most.
        action: `cut` or `drop`.
    """
    over = lengths > max_length
    dropped = over.copy()
    if action == "cut":
        rows = [(int(n), (int(t), int(h), int(w))) for n, t, h, w in shapes[over, :4]]
        dropped[over] = [grid[0] > 0 and not frames_within(n, grid, max_length) for n, grid in rows]
    return dropped


def check_lengths(where: str, lengths: np.ndarray, counts: np.ndarray, *, max_length: int) -> None:
    """Check that no clip is longer than the longest sequence, for `task.too_long=error`.

    Args:
        where: the stream, in the error.
        lengths: tokens of each kind of clip, as far as they are known.
        counts: how many clips there are of each.
        max_length: tokens at most.

    Raises:
        ValueError: one is; says how many, and what can be done.
    """
    over = (lengths > max_length) & (counts > 0)
    if over.any():
        number, total = int(counts[over].sum()), int(counts.sum())
        raise ValueError(
            f"{where}: {number} of {plural(total, 'clip')} {'is' if number == 1 else 'are'} over task.max_length="
            f"{max_length}, up to {int(lengths[over].max())} tokens long: lower task.duration_s, leave them out "
            "(task.too_long=drop), cut them (task.too_long=cut), or raise task.max_length"
        )


def check_some_left(where: str, number: int, *, total: int, max_length: int) -> None:
    """Check that of `total` clips a `number` is left that is within the longest sequence.

    Raises:
        ValueError: none is.
    """
    if total and not number:
        raise ValueError(
            f"{where}: no clip of {total} is within task.max_length={max_length}: raise it, or lower duration_s"
        )
