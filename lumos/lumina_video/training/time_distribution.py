"""By which distributions the times of training are drawn (`training.times`); imported without torch."""

import math

LOGNORM = "lognorm"
"""The sigmoid of a standard normal number; the others are uniform."""


def check_distribution(distribution: str) -> None:
    """Raise ValueError for a distribution that there is none of."""
    if distribution != LOGNORM:
        bounds_of(distribution)


def bounds_of(distribution: str) -> tuple[float, float]:
    """Return (A, B) of `uniform_A_B`, (0, 1) of `uniform`.

    Raises:
        ValueError: it is neither.
    """
    kind, *bounds = distribution.split("_")
    try:
        low, high = map(float, bounds or (0, 1))
    except ValueError:
        low = high = math.nan
    if kind != "uniform" or not (0 <= low <= 1 and 0 <= high <= 1):
        raise ValueError(
            f"snr_type is {distribution!r}; it must be uniform, uniform_A_B with A and B from 0 to 1 "
            "(for example uniform_0.2_0.7), or lognorm"
        )
    return low, high
