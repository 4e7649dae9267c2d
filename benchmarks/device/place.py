"""Where a part runs, and what its work can take there at best."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from benchmarks.device.sizes import Sizes
from benchmarks.gpus import Gpu
from benchmarks.measure import seconds_of


@dataclass(frozen=True, kw_only=True)
class Place:
    """A device and the sizes of the work on it."""

    device: torch.device
    """Where it runs."""
    sizes: Sizes
    """Of the work."""
    gpu: Gpu | None
    """Its data sheet; None for a CPU and for GPUs we have none of."""

    @property
    def is_cuda(self) -> bool:
        """Whether it is a CUDA GPU."""
        return self.device.type == "cuda"

    def best_ms(self, flops: float, moved: float = 0) -> float | None:
        """Return the milliseconds that work takes at least; None where nothing is known."""
        return None if self.gpu is None else 1e3 * self.gpu.seconds(flops, moved)

    def ms(self, work: Callable[[], object]) -> float:
        """Return the median milliseconds of `rounds` calls after one that is not counted."""
        work()
        return 1e3 * median(seconds_of(work, device=self.device) for _ in range(self.sizes.rounds))
