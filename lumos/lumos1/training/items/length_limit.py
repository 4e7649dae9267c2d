"""What becomes of clips longer than the longest sequence: an error, cut, or left out; and how many there are."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from lumos.lumos1.sequence import Clip, sequence_length
from lumos.lumos1.training.items.cutting import cut_to_frames, frames_within
from lumos.lumos1.training.items.lengths_after_cut import dropped_of
from lumos.lumos1.training.task_config import check_too_long
from xllmx.data.broken import BrokenSampleError
from xllmx.data.kinds import counts_of
from xllmx.settings.number_range import COUNT, check_numbers


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which clips of a data set are used, and what was done about those that are too long."""

    indices: np.ndarray | range
    """[M], the clips that are used."""
    num_cut: int = 0
    """Clips over the longest sequence that are cut when they are read."""
    num_dropped: int = 0
    """Clips over the longest sequence that are left out."""


@dataclass(frozen=True, kw_only=True)
class LengthLimit:
    """The longest clip and the longest sequence, and what becomes of one that is longer.

    Raises:
        ValueError: another action.
    """

    max_length: Annotated[int, COUNT]
    """Tokens."""
    duration_s: Annotated[int, COUNT] | None = None
    """Clips are cut to so many seconds first; None leaves them whole."""
    action: str = "error"
    """`error` stops the run; `cut` leaves out the last seconds, as many as it takes; `drop` leaves the clip out."""

    def __post_init__(self) -> None:
        check_numbers(self)
        check_too_long(self.action)

    def select(self, shapes: np.ndarray, lengths: np.ndarray, *, which: np.ndarray) -> Selection:
        """Return which clips are used, from their shapes and lengths alone; with action `error` all of them.

        Args:
            shapes: rows of `SHAPE_COLUMNS` of kinds of clips as `duration_s` leaves them; -1 where not known.
            lengths: tokens of each kind.
            which: the kind of each clip.
        """
        over, counts = lengths > self.max_length, counts_of(which, len(lengths))
        if self.action == "error" or not over.any():
            return Selection(indices=range(len(which)))
        dropped = dropped_of(shapes, lengths, max_length=self.max_length, action=self.action)
        return Selection(
            indices=np.flatnonzero(~dropped[which]).astype(np.uint32) if dropped.any() else range(len(which)),
            num_cut=int(counts[over & ~dropped].sum()),
            num_dropped=int(counts[dropped].sum()),
        )

    def apply(self, clip: Clip) -> Clip:
        """Return a clip, already cut to `duration_s`, as it is trained on: cut to the longest sequence where asked.

        Raises:
            BrokenSampleError: it is too long with action `drop`, or with `cut` not even one frame fits.
            ValueError: it is too long, with action `error`.
        """
        length = sequence_length(len(clip.prompt_ids), clip.codes.shape)
        if length <= self.max_length:
            return clip
        fitting = frames_within(len(clip.prompt_ids), clip.codes.shape, self.max_length)
        if self.action == "cut" and fitting:
            return cut_to_frames(clip, fitting)
        message = (
            f"clip {clip.source} ({len(clip.codes)} latent frames) is {length} tokens long, over "
            f"task.max_length={self.max_length}: lower task.duration_s, leave the clip out "
            "(task.too_long=drop), cut it (task.too_long=cut), or raise max_length"
        )
        raise ValueError(message) if self.action == "error" else BrokenSampleError(message)
