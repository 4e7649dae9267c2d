"""The data sheets, and names that stand for them."""

import pytest

from benchmarks.gpus import H100, H200, gpu_named


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("NVIDIA H100 80GB HBM3", "H100 SXM"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA H100 NVL", None),
        ("NVIDIA GH200 480GB", None),
        ("NVIDIA A100-SXM4-80GB", None),
    ],
)
def test_a_device_is_known_by_its_name(name: str, found: str | None) -> None:
    gpu = gpu_named(name)
    assert (gpu and gpu.name) == found


def test_the_longer_of_products_and_memory_decides() -> None:
    assert H100.seconds(989e12) == 1
    assert H100.seconds(989e12, 6.7e12) == 2
    assert H200.seconds(0, 4.8e12) == 1
    assert [gpu.memory_bytes for gpu in (H100, H200)] == [80e9, 141e9]
