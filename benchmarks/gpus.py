"""What the data sheets say of GPUs, and the least time that work takes on one."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU."""

    name: str
    """For people."""
    pattern: str
    """A regular expression that its device name, as torch gives it, holds."""
    flops: float
    """bf16 products per second, dense."""
    bytes_per_s: float
    """Of its memory."""
    memory_bytes: float
    """In all."""
    link_bytes_per_s: float
    """To the other GPUs of its machine, in each direction."""

    def seconds(self, flops: float, moved: float = 0) -> float:
        """Return the least time of so many FLOPs and bytes to and from memory, which overlap: the larger of both."""
        return max(flops / self.flops, moved / self.bytes_per_s)


H100 = Gpu(
    name="H100 SXM",
    pattern=r"\bH100 (SXM|80GB HBM3)",
    flops=989e12,
    bytes_per_s=3.35e12,
    memory_bytes=80e9,
    link_bytes_per_s=450e9,
)
H200 = Gpu(
    name="H200", pattern=r"\bH200\b", flops=989e12, bytes_per_s=4.8e12, memory_bytes=141e9, link_bytes_per_s=450e9
)
GPUS = (H100, H200)
"""Those of `FIRST_RUN.md`, by their data sheets."""

REACHED = Gpu(
    name="H200, as large matrices and copies reach it",
    pattern=r"\bH200\b",
    flops=790e12,
    bytes_per_s=4.3e12,
    memory_bytes=141e9,
    link_bytes_per_s=450e9,
)
"""What the tables of `RESULTS.md` reckon with."""


def gpu_named(device_name: str) -> Gpu | None:
    """Return the GPU of a device name; None for one that is not in `GPUS`.

    >>> [gpu and gpu.name for gpu in map(gpu_named, ("NVIDIA H100 80GB HBM3", "NVIDIA GH200 480GB", "NVIDIA H200"))]
    ['H100 SXM', None, 'H200']
    """
    return next((gpu for gpu in GPUS if re.search(gpu.pattern, device_name)), None)
