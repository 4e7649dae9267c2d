"""auto is bf16 only where the device multiplies in it."""

from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from toy_task import ToyTask

from xllmx import precision
from xllmx.muon import orthogonal
from xllmx.precision import multiplies_bf16, resolve_precision
from xllmx.trainer import Trainer, TrainerConfig

CPU = torch.device("cpu")


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch):
    """Makes PyTorch report a processor of certain capabilities."""

    def pretend(**capabilities: object) -> None:
        precision._cpu_multiplies_bf16.cache_clear()
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: MappingProxyType(capabilities), raising=False)

    yield pretend
    precision._cpu_multiplies_bf16.cache_clear()


@pytest.mark.parametrize(("capabilities", "bf16"), [
    ({"architecture": "x86_64", "avx2": True, "avx512_bf16": False}, False),
    ({"architecture": "x86_64", "avx2": True, "avx512_bf16": True}, True),
    ({"architecture": "x86_64", "amx_bf16": True}, True),
    ({"architecture": "arm64", "neon": True}, False),
    ({"architecture": "arm64", "neon": True, "bf16": True}, True),
])  # fmt: skip
def test_auto_is_bf16_on_processors_that_multiply_in_it(processor, capabilities: dict, bf16: bool) -> None:
    processor(**capabilities)
    assert multiplies_bf16(CPU) == bf16
    assert resolve_precision("auto", CPU) == ("bf16" if bf16 else "fp32")


def test_gpus_compute_in_bf16_and_what_is_asked_for_is_done(processor) -> None:
    processor(avx2=True)
    assert resolve_precision("auto", torch.device("cuda")) == "bf16"
    assert resolve_precision("bf16", CPU) == "bf16"
    assert resolve_precision("fp32", torch.device("cuda")) == "fp32"


def test_a_pytorch_that_does_not_say_counts_as_without(processor, monkeypatch: pytest.MonkeyPatch) -> None:
    processor()
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not multiplies_bf16(CPU)


def test_muon_makes_the_same_matrices_in_either_precision(processor) -> None:
    given = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    processor(avx512_bf16=True)
    short = orthogonal(given)
    processor(avx512_bf16=False)
    long = orthogonal(given)
    assert not torch.equal(short, long)
    assert torch.allclose(short, long, atol=0.05)


def test_training_warns_of_bf16_on_a_processor_without_it(
    processor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    processor(avx2=True)
    Trainer(ToyTask(), TrainerConfig(run_dir=tmp_path, max_steps=1, precision="bf16", progress=False)).fit()
    assert "trainer.precision=auto uses fp32" in caplog.text
