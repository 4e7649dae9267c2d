"""What the data sheets say of GPUs, and the least time that work takes on one."""

import re
from dataclasses import dataclass, replace

from xllmx.ranks.data_sheets import SHEETS, DataSheet


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


def _gpu(name: str, sheet: DataSheet, *, pattern: str, bytes_per_s: float) -> Gpu:
    """Return a GPU of that sheet, which does not say how fast its memory is."""
    return Gpu(
        name=name,
        pattern=pattern,
        flops=1e12 * sheet.tflops,
        bytes_per_s=bytes_per_s,
        memory_bytes=1e9 * sheet.memory_gb,
        link_bytes_per_s=1e9 * sheet.link_gb_s,
    )


H100 = _gpu("H100 SXM", SHEETS["H100"], pattern=r"\bH100 (SXM|80GB HBM3)", bytes_per_s=3.35e12)
H200 = _gpu("H200", SHEETS["H200"], pattern=r"\bH200\b", bytes_per_s=4.8e12)
GPUS = (H100, H200)
"""Those of `FIRST_RUN.md`, by their data sheets."""

REACHED = replace(H200, name="H200, as large matrices and copies reach it", flops=790e12, bytes_per_s=4.3e12)
"""What the tables of `RESULTS.md` reckon with."""


def gpu_named(device_name: str) -> Gpu | None:
    """Return the GPU of a device name; None for one that is not in `GPUS`.

    >>> [gpu and gpu.name for gpu in map(gpu_named, ("NVIDIA H100 80GB HBM3", "NVIDIA GH200 480GB", "NVIDIA H200"))]
    ['H100 SXM', None, 'H200']
    """
    return next((gpu for gpu in GPUS if re.search(gpu.pattern, device_name)), None)
