"""What the device itself reaches: products, copies, launches. All that follows is slow if these are."""

import time

import torch

from benchmarks.device.findings import Findings, Row
from benchmarks.device.place import Place
from benchmarks.measure import matmul_rate

_LAUNCHES = 1000


def rates(place: Place) -> Findings:
    """Return TFLOP/s of a bf16 product, GB/s of a copy on the device, and the host's microseconds a launch."""
    side, gpu = place.sizes.matrix, place.gpu
    products = matmul_rate(torch.bfloat16, (side, side, side), device=place.device) / 1e12
    source = torch.zeros(place.sizes.copied_bytes, dtype=torch.uint8, device=place.device)
    target = torch.empty_like(source)
    copied = 2 * place.sizes.copied_bytes / place.ms(lambda: target.copy_(source)) / 1e6
    return Findings(
        rows=[
            Row(
                name=f"bf16 product of {side}^3", value=products, unit="TFLOP/s", best=gpu.flops / 1e12 if gpu else None
            ),
            Row(name="copy, read and written", value=copied, unit="GB/s", best=gpu.bytes_per_s / 1e9 if gpu else None),
            Row(name="launch of a kernel, host", value=_launch_us(place.device), unit="us"),
        ]
    )


def _launch_us(device: torch.device) -> float:
    number = torch.zeros(1, device=device)
    number.add_(1).item()  # what came before is done
    start = time.perf_counter()
    for _ in range(_LAUNCHES):
        number.add_(1)
    return 1e6 * (time.perf_counter() - start) / _LAUNCHES
