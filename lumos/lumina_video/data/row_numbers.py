"""Numbers that a row of a list says, motion scores among them; imported without torch."""

from math import inf, isfinite
from typing import Any

UNKNOWN_MOTION = -1.0
"""A clip without a motion score; the network knows -1 as "not said"."""
MOST_MOTION = 1e6
"""No score is larger: the pictures on which flow is measured are 576 pixels wide."""


def number_in(value: Any, *, least: int | float = -inf, most: int | float = inf) -> float | None:
    """Return a number of a row, which the tools wrote as one or as text; None where it is none from least to most."""
    if type(value) is not float:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            return None
        try:
            value = float(value)
        except (ValueError, OverflowError):
            return None
    return value if least <= value <= most and isfinite(value) else None
