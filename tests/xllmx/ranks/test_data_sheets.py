"""What is known of GPUs is found by their names, as people and as torch write them."""

import torch

from xllmx.ranks.data_sheets import device_peak_flops, peak_flops, sheet_of


def test_peaks_are_found_by_name() -> None:
    assert peak_flops("NVIDIA H100 80GB HBM3") == 989e12
    assert peak_flops("NVIDIA A100-SXM4-40GB") == 312e12
    assert peak_flops("NVIDIA L40S") == 362e12
    assert peak_flops("NVIDIA GeForce GTX 970") is None
    assert device_peak_flops(torch.device("cpu")) is None


def test_another_gpu_with_a_similar_name_has_no_peak_of_its_neighbour() -> None:
    assert peak_flops("NVIDIA H100 PCIe") == 756e12
    assert peak_flops("NVIDIA A10") == 125e12
    assert [peak_flops(f"NVIDIA {name}") for name in ("L40", "RTX A1000", "A10G", "GB200")] == [None] * 4


def test_a_smaller_card_of_the_same_name_has_its_own_memory() -> None:
    sheets = [sheet_of(name) for name in ("NVIDIA A100-SXM4-80GB", "NVIDIA A100-SXM4-40GB", "NVIDIA GeForce RTX 4090")]
    assert [sheet and (sheet.memory_gb, sheet.link_gb_s) for sheet in sheets] == [(80, 300), (40, 300), (24, 32)]
