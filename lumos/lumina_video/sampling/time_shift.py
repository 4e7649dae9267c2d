"""Which shifts of the time there are; imported without torch."""

from typing import TypeAlias

Number: TypeAlias = int | float
"""A whole number stands for a fraction too: 24 for 24.0."""

SHIFTS = (1e-3, 1e3)
"""Least and greatest shift of the time; beyond them fp32 does not hold the grid."""


def check_shift(shift: Number | None) -> None:
    """Raise ValueError for a shift of the time that is negative, not finite or outside `SHIFTS`."""
    least, greatest = SHIFTS
    if shift and not least <= shift <= greatest:
        raise ValueError(
            f"the time shift (ts) is {shift}; give a number from {least:g} to {greatest:g} (released: 8, 24), or 0"
        )
