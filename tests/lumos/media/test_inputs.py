"""Which device is chosen, on machines that are not here."""

import pytest
import torch

from lumos.media.inputs import choose_device, choose_dtype, pin
from xllmx.settings.setting import SettingError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> object:
    """Makes PyTorch see so many accelerators of a kind."""

    def make(kind: str | None, number: int = 1) -> None:
        found = None if kind is None else torch.device(kind)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: found)
        monkeypatch.setattr(torch.accelerator, "device_count", lambda: number)

    return make


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_the_accelerator_that_is_there_is_chosen(machine, kind: str) -> None:
    machine(kind, 2)
    assert choose_device(None) == torch.device(kind)
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device(f"{kind}:1") == torch.device(kind, 1)
    with pytest.raises(SettingError, match=f"device is '{kind}:2', but there are 2 GPUs; count from {kind}:0"):
        choose_device(f"{kind}:2")


@pytest.mark.parametrize(("there", "here"), [(None, "cpu"), ("mtia", "cpu")])
def test_without_one_it_is_the_cpu(machine, there: str | None, here: str) -> None:
    machine(there)
    assert choose_device(None) == torch.device(here)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("cuda", "PyTorch finds no CUDA GPU here; use cpu, or install a CUDA build"),
        ("mps", "PyTorch finds no GPU of Apple's here; use cpu, or leave it out"),
        ("meta", "it must be cpu, cuda, cuda:N, mps or xpu"),
    ],
)
def test_another_one_is_refused(machine, asked: str, said: str) -> None:
    machine("xpu")
    with pytest.raises(SettingError, match=said):
        choose_device(asked)


def test_gpus_but_apples_compute_in_bf16() -> None:
    found = {name: choose_dtype(None, torch.device(name)) for name in ("cpu", "cuda", "xpu", "mps")}
    assert [name for name, dtype in found.items() if dtype == torch.bfloat16] == ["cuda", "xpu"]


def test_a_numbered_gpu_is_made_the_one_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", pinned.append)
    for name in ("cuda:3", "cuda", "cpu", "mps"):
        assert pin(torch.device(name)) == torch.device(name)
    assert pinned == [torch.device("cuda:3")]
