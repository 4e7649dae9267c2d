"""The check of flash-attn: it passes what is right, finds what is wrong, and says why it looks at nothing."""

import pytest
import torch

from benchmarks.device.flash import flash, flash_checks
from benchmarks.device.place import Place
from benchmarks.device.sizes import SMALL
from tests import stand_in_flash

CPU = torch.device("cpu")


def test_what_is_right_passes_and_what_is_wrong_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_flash.install(monkeypatch)
    checks = flash_checks(CPU, dtype=torch.float32)
    assert [check.name.split(", ")[1] for check in checks] == [
        "dense", "causal", "rows alike", "rows padded and packed"
    ]  # fmt: skip
    assert all(check.passed for check in checks)
    right = stand_in_flash.flash_attn_func
    monkeypatch.setattr(stand_in_flash, "flash_attn_func", lambda q, k, v, *, causal=False: right(q, k, v))
    stand_in_flash.install(monkeypatch)
    assert [check.passed for check in flash_checks(CPU, dtype=torch.float32)] == [True, False, False, False]
    stand_in_flash.uninstall(monkeypatch)


def test_without_a_gpu_it_says_so() -> None:
    found = flash(Place(device=CPU, sizes=SMALL, gpu=None))
    assert (found.rows, found.checks) == ([], [])
    assert found.left_out == ["flash-attn against PyTorch's own attention: it needs a CUDA GPU"]


def test_without_flash_attn_a_gpu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_flash.uninstall(monkeypatch)
    found = flash(Place(device=torch.device("cuda"), sizes=SMALL, gpu=None))
    assert found.checks == []
    assert "flash-attn is not usable here" in found.left_out[0]
