"""auto is bf16 only where the device multiplies in it."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from toy_task import ToyTask

from xllmx.optimisation import precision
from xllmx.optimisation.precision import (
    compute_dtype,
    computing_copy,
    computing_in,
    multiplies_bf16,
    resolve_precision,
    set_fp32_products,
    slow_precision,
)
from xllmx.run.reporting.metrics import read_metrics
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


def test_what_is_asked_for_is_done(processor) -> None:
    processor(avx2=True)
    assert resolve_precision("bf16", CPU) == "bf16"
    assert resolve_precision("fp32", torch.device("cuda")) == "fp32"


@pytest.mark.parametrize(
    ("name", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16), ("tf32", torch.float32)]
)
def test_products_have_the_precision_and_sums_of_weights_do_not(name: str, dtype: torch.dtype) -> None:
    linear = torch.nn.Linear(3, 2)
    with computing_in(name, CPU):
        assert linear(torch.ones(1, 3)).dtype == compute_dtype(name) == dtype
    assert linear.weight.dtype == torch.float32


def test_each_precision_says_what_a_cpu_makes_of_it(processor) -> None:
    processor(avx2=True)
    said = [slow_precision(name, CPU) for name in ("bf16", "fp16", "tf32", "fp32")]
    assert [text and text.split(";")[0].split(":")[0] for text in said] == [
        "this CPU has no bf16 products and computes them slowly", "a CPU computes fp16 slowly",
        "a CPU has no tf32", None,
    ]  # fmt: skip


def test_fp16_trains_as_fp32_does_and_goes_on_with_its_scale(tmp_path: Path) -> None:
    losses = {}
    for name in ("fp32", "fp16"):
        settings = {"precision": name, "progress": False, "log_every": 1, "device": "cpu"}
        first = Trainer(ToyTask(), TrainerConfig(run_dir=tmp_path / name, max_steps=3, **settings))
        first.fit()
        resumed = Trainer(ToyTask(), TrainerConfig(run_dir=tmp_path / name, max_steps=5, **settings))
        assert resumed.step == 3
        assert resumed.engine.state().get("scale") == first.engine.state().get("scale")
        resumed.fit()
        losses[name] = [row["loss"] for row in read_metrics(tmp_path / name)]
    assert losses["fp16"] == pytest.approx(losses["fp32"], rel=0.01)
    assert len(losses["fp16"]) == 5
    assert resumed.engine.state()["scale"]["steps_since_overflow"] > 0


@pytest.mark.parametrize("native", [True, False])
def test_gpus_count_if_they_multiply_in_bf16_themselves(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or native)
    assert resolve_precision("auto", torch.device("cuda")) == ("bf16" if native else "fp32")


@pytest.mark.parametrize("on_another_rank", [True, False])
def test_one_rank_without_bf16_decides_for_all(
    processor, monkeypatch: pytest.MonkeyPatch, on_another_rank: bool
) -> None:
    processor(avx512_bf16=True)
    monkeypatch.setattr(precision, "any_rank", lambda lacks: lacks or on_another_rank)
    assert resolve_precision("auto", CPU) == ("fp32" if on_another_rank else "bf16")


def test_training_warns_of_bf16_on_a_processor_without_it(
    processor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    processor(avx2=True)
    Trainer(ToyTask(), TrainerConfig(run_dir=tmp_path, max_steps=1, precision="bf16", progress=False)).fit()
    assert "trainer.precision=auto uses fp32" in caplog.text


def test_the_run_says_what_auto_became(processor, tmp_path: Path) -> None:
    processor(avx2=True)
    Trainer(ToyTask(), TrainerConfig(run_dir=tmp_path, max_steps=1, precision="auto", progress=False)).fit()
    assert json.loads((tmp_path / "environment.json").read_text())["precision"] == "fp32"
    assert "in fp32" in (tmp_path / "log.txt").read_text()


@pytest.fixture
def _products_as_before() -> Iterator[None]:
    matrices, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision(matrices)
    torch.backends.cudnn.allow_tf32 = convolutions


@pytest.mark.usefixtures("_products_as_before")
def test_fp32_on_a_gpu_is_fp32_in_products_of_both_kinds_unless_told_otherwise() -> None:
    gpu = torch.device("cuda")
    for tf32, name in ((True, "high"), (False, "highest")):
        set_fp32_products(gpu, tf32=tf32)
        assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == (name, tf32)
        set_fp32_products(CPU, tf32=not tf32)
        assert torch.get_float32_matmul_precision() == name


def test_a_copy_to_sample_from_is_in_the_computing_precision_and_leaves_the_weights() -> None:
    task = ToyTask()
    model = task.build_model()
    task.init_weights(model, device=CPU, seed=0)
    halved = computing_copy(model, task.build_model, precision="bf16", device=CPU)
    assert {weight.dtype for weight in halved.state_dict().values()} == {torch.bfloat16}
    assert {weight.dtype for weight in model.state_dict().values()} == {torch.float32}
    assert (halved.training, model.training) == (False, True)
    torch.testing.assert_close(halved.head.weight.float(), model.head.weight, rtol=0.01, atol=1e-3)
    same = computing_copy(model, task.build_model, precision="fp32", device=CPU)
    assert same.head.weight.data_ptr() == model.head.weight.data_ptr()


def test_samples_of_a_training_in_bf16_come_from_a_model_in_bf16(tmp_path: Path) -> None:
    seen: list[tuple[torch.dtype, int]] = []

    class Preview:
        every = 2

        def __call__(self, model: torch.nn.Module, step: int) -> dict[Path, np.ndarray]:
            seen.append((next(model.parameters()).dtype, step))
            return {}

    config = TrainerConfig(run_dir=tmp_path, max_steps=4, precision="bf16", device="cpu", progress=False)
    trainer = Trainer(ToyTask(), config, preview=Preview())
    trainer.fit()
    assert seen == [(torch.bfloat16, 2), (torch.bfloat16, 4)]
    assert trainer.model.training
