"""Several datasets as one, each in its own proportion."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class Mixture:
    """Datasets one after the other; a ratio of 2 holds each sample twice, one of 0.5 an even half of the samples."""

    def __init__(self, datasets: Sequence[Any], ratios: Sequence[float]) -> None:
        if len(datasets) != len(ratios) or not datasets:
            raise ValueError(
                f"{len(datasets)} datasets with {len(ratios)} ratios; give one ratio for each, at least one"
            )
        if min(ratios) < 0:
            raise ValueError(f"mixture ratios are {list(ratios)}; they must not be negative")
        self.datasets = list(datasets)
        parts = [_repeated(len(dataset), ratio) for dataset, ratio in zip(datasets, ratios, strict=True)]
        self._samples = np.concatenate(parts)
        self._sources = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        lengths = [np.asarray(dataset.lengths)[part] for dataset, part in zip(datasets, parts, strict=True)]
        self.lengths = np.concatenate(lengths)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Any:
        return self.datasets[self._sources[index]][int(self._samples[index])]


def _repeated(size: int, ratio: float) -> np.ndarray:
    """Return round(size * ratio) sample numbers, spread evenly: each appears floor or ceil of `ratio` times."""
    total = round(size * ratio)
    return np.arange(total) * size // max(total, 1)
