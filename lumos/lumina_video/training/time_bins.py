"""Losses by time: 20 bins of t, so that a curve shows where a model learns (README section 6)."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from xllmx.loss import Quantity

NUM_BINS = 20


def bin_of(time: float) -> int:
    """Return the bin of a time in [0, 1]; 1 belongs to the last."""
    return min(int(time * NUM_BINS), NUM_BINS - 1)


def binned_means(
    values: Mapping[str, Float[Tensor, " B"]], bins: Sequence[int]
) -> dict[str, tuple[Quantity, Quantity]]:
    """Return name -> (sum, count) of each value, and of it in each bin that has an item, `name_t0.35` by its start."""
    found: dict[str, tuple[Quantity, Quantity]] = {}
    for name, numbers in values.items():
        found[name] = numbers.sum(), len(bins)
    for number in sorted(set(bins)):
        places = [place for place, one in enumerate(bins) if one == number]
        for name, numbers in values.items():
            # One by one: an index of several would be copied to the device.
            of_bin = torch.stack([numbers[place] for place in places]).sum()
            found[f"{name}_t{number / NUM_BINS:.2f}"] = of_bin, len(places)
    return found
