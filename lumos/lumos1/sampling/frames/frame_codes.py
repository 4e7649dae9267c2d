"""The codes of a frame between two refinements, and how many are masked: Python's numbers, so that no GPU is asked."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

MASKED = -1
"""Stands in a grid of codes where the code is masked."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Leading:
    """The first `counts[b]` columns of every row b, one behind another (U numbers) or as rows of a batch.

    ::

        counts 2, 1    rows [a b .]    flat a b d    padded [a b]
                            [d . .]                         [d 0]
    """

    counts: tuple[int, ...]
    """Columns of each row; at least one of some row."""
    device: torch.device
    """Where the rows lie."""

    def flat(self, rows: Shaped[Tensor, "B M *item"]) -> Shaped[Tensor, "U *item"]:
        """Return the leading columns of each row, row after row."""
        if self._are_equal:
            return rows[:, : self.counts[0]].flatten(0, 1)
        return rows[self.where]

    def padded(self, flat: Shaped[Tensor, "U"], fill: int | float) -> Shaped[Tensor, "B M"]:
        """Return the rows again, `fill` behind the shorter ones."""
        if self._are_equal:
            return flat.unflatten(0, (len(self.counts), -1))
        return flat.new_full((len(self.counts), max(self.counts)), fill).index_put(self.where, flat)

    @cached_property
    def where(self) -> tuple[Int[Tensor, "U"], Int[Tensor, "U"]]:
        """Row and column of each; where counts differ they are copied to the device, once."""
        counts = torch.tensor(self.counts)
        rows = torch.arange(len(counts)).repeat_interleave(counts)
        columns = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]
        row, column = torch.stack([rows, columns]).to(self.device, non_blocking=True)
        return row, column

    @property
    def _are_equal(self) -> bool:
        return len(set(self.counts)) == 1


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameCodes:
    """One frame of B clips."""

    codes: Int[Tensor, "B N"]
    """Visual codes, row-major, -1 where masked."""
    num_masked: tuple[int, ...]
    """How many codes of each clip are masked."""

    @classmethod
    def of(cls, codes: Int[Tensor, "B N"]) -> "FrameCodes":
        """Return the frame with these codes, counting the masked ones: on a GPU that waits."""
        return cls(codes=codes, num_masked=tuple((codes == MASKED).sum(dim=1).tolist()))

    @cached_property
    def order(self) -> Int[Tensor, "B N"]:
        """Positions 0..N-1 of each clip: the masked ones, then the others.

        ::

            codes [[5, -1, 3, -1], [-1, 2, 7, 1]]  ->  [[1, 3, 0, 2], [0, 1, 2, 3]]
        """
        return self.codes.clamp(max=0).argsort(dim=1, stable=True)

    @cached_property
    def masked(self) -> Leading:
        """Which columns of `order` are masked positions."""
        return Leading(counts=self.num_masked, device=self.codes.device)

    def filled(self, drawn: Int[Tensor, "U"]) -> Int[Tensor, "B N"]:
        """Return the codes with these in place of the masked ones, clip after clip."""
        if len(set(self.num_masked)) == 1:
            return self.codes.scatter(1, self.order[:, : self.num_masked[0]], self.masked.padded(drawn, MASKED))
        return self.codes.index_put((self.masked.where[0], self.masked.flat(self.order)), drawn)
