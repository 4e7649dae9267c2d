"""What the makers' data sheets say of GPUs: products a second, memory, links to the others of a machine."""

import re
from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class DataSheet:
    """One GPU."""

    tflops: float
    """Dense bf16 (V100: fp16) tensor-core peak, TFLOP/s."""
    memory_gb: int
    """Memory, GB of 10^9 bytes."""
    link_gb_s: int
    """To the other GPUs of its machine, GB/s in each direction: NVLink over a switch, else PCIe (bridges join two)."""


def _pcie(tflops: float, memory_gb: int, *, generation: int = 4) -> DataSheet:
    """Return a GPU on 16 lanes: 32 GB/s of generation 4, twice that of 5."""
    return DataSheet(tflops=tflops, memory_gb=memory_gb, link_gb_s=2 ** (generation + 1))


SHEETS = {
    "H200": DataSheet(tflops=989.0, memory_gb=141, link_gb_s=450),
    "H100": DataSheet(tflops=989.0, memory_gb=80, link_gb_s=450),
    "H100 PCIe": _pcie(756.0, 80, generation=5),
    "H100 NVL": _pcie(835.0, 94, generation=5),
    "H800": DataSheet(tflops=989.0, memory_gb=80, link_gb_s=200),
    "GH200": DataSheet(tflops=989.0, memory_gb=96, link_gb_s=450),
    "B200": DataSheet(tflops=2250.0, memory_gb=180, link_gb_s=900),
    "A100": DataSheet(tflops=312.0, memory_gb=80, link_gb_s=300),
    "A100-SXM4-40GB": DataSheet(tflops=312.0, memory_gb=40, link_gb_s=300),
    "A800": DataSheet(tflops=312.0, memory_gb=80, link_gb_s=200),
    "L40S": _pcie(362.0, 48),
    "L4": _pcie(121.0, 24),
    "RTX 4090": _pcie(165.0, 24),
    "RTX 3090": _pcie(71.0, 24),
    "A10": _pcie(125.0, 24),
    "V100": DataSheet(tflops=125.0, memory_gb=32, link_gb_s=150),
}
"""Of the names that are words of the device's name the longest counts (an L40 is no L4, an RTX A1000 no A100)."""

GPUS = tuple(SHEETS)
"""The GPUs that are known."""


def sheet_of(device_name: str) -> DataSheet | None:
    """Return what is known of a GPU by its name, or by that which torch gives it; None for one that is not known."""
    fitting = [name for name in SHEETS if re.search(rf"\b{name}\b", device_name)]
    return SHEETS[max(fitting, key=len)] if fitting else None


def peak_flops(device_name: str) -> float | None:
    """Return the dense bf16 peak of a GPU in FLOP/s by its name; None for one that is not known."""
    sheet = sheet_of(device_name)
    return None if sheet is None else 1e12 * sheet.tflops


def device_peak_flops(device: torch.device) -> float | None:
    """Return the dense bf16 peak of a device in FLOP/s; None for a CPU or a GPU that is not known."""
    return peak_flops(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
