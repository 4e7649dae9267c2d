"""DeepSpeed behind the engine's seam: the native engine's losses, and checkpoints that either goes on from."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import launched_ranks as ranks
import pytest
import torch
from toy_task import ToyTask

from xllmx.checkpoints.checkpoint import CheckpointManager
from xllmx.optimisation.optim import OptimConfig
from xllmx.ranks.deepspeed_engine import ZeroEngine
from xllmx.ranks.parallel import ParallelConfig
from xllmx.run.reporting.metrics import read_metrics
from xllmx.trainer_config import TrainerConfig

pytestmark = pytest.mark.timeout(600)
needs_deepspeed = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None or shutil.which("g++") is None,
    reason="DeepSpeed, an optional engine, or the C++ compiler that it needs on a CPU is not here",
)
ACCUMULATED = {"grad_accumulation": 3, "save_every": 2}


def losses_of(run: Path) -> list[float]:
    return [row[name] for row in read_metrics(run) for name in ("loss", "grad_norm")]


@needs_deepspeed
@pytest.mark.slow
@pytest.mark.parametrize("num", [1, 2])
def test_every_stage_gives_the_losses_of_the_native_engine(tmp_path: Path, num: int) -> None:
    """Also stopped and gone on with, and when the native engine goes on from its checkpoint."""
    batch = {**ACCUMULATED, "batch_size": {"image": 2 // num}}
    ranks.train({"run": tmp_path / "native", "trainer": {**ACCUMULATED, "batch_size": {"image": 2}}})
    plan = []
    for stage in (1, 2, 3):
        zero = {"engine": "deepspeed", "zero_stage": stage}
        half, name = {**batch, "max_steps": 2}, f"zero{stage}"
        plan += [{"run": tmp_path / name, "trainer": half, "parallel": zero}]
        plan += [{"run": tmp_path / name, "trainer": batch, "parallel": zero}]
    for name, parallel in (("then_native", {}), ("whole", {"engine": "deepspeed"})):
        # bf16: masters must survive in fp32
        fine = {**batch, "precision": "bf16"}
        first = {**fine, "max_steps": 2} if name == "then_native" else fine
        plan += [{"run": tmp_path / f"bf16_{name}", "trainer": first, "parallel": {"engine": "deepspeed"}}]
        plan += [{"run": tmp_path / f"bf16_{name}", "trainer": fine, "parallel": parallel}]
    plan += [
        {"run": tmp_path / "bf16_cut", "trainer": {**batch, "precision": "bf16", "max_steps": steps},
         "parallel": {"engine": "deepspeed", "zero_stage": 3}}
        for steps in (2, 4)
    ]  # fmt: skip
    ranks.run_ranks(plan, num=num)
    expected = losses_of(tmp_path / "native")
    for stage in (1, 2, 3):
        assert losses_of(tmp_path / f"zero{stage}") == pytest.approx(expected, rel=1e-5)
    whole = losses_of(tmp_path / "bf16_whole")
    assert whole == pytest.approx(expected, rel=2e-2)
    assert losses_of(tmp_path / "bf16_cut") == pytest.approx(whole, rel=1e-5)
    assert losses_of(tmp_path / "bf16_then_native") == pytest.approx(whole, rel=2e-2)
    manager = CheckpointManager(tmp_path / "zero3" / "checkpoints")
    model = ToyTask().build_model().state_dict()
    weights = {name: torch.zeros(value.shape) for name, value in model.items()}
    manager.load(manager.latest(), {"model": weights})
    native = CheckpointManager(tmp_path / "native" / "checkpoints")
    wanted = {name: torch.zeros(value.shape) for name, value in model.items()}
    native.load(native.latest(), {"model": wanted})
    for name, value in wanted.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-3, atol=2e-6)


def test_without_deepspeed_one_line_names_the_alternative(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['deepspeed'] = None; sys.path.insert(0, sys.argv[1]); import launched_ranks as ranks\n"
        "try: ranks.train({'run': sys.argv[2], 'parallel': {'engine': 'deepspeed'}})\n"
        "except ValueError as error: print(error)"
    )
    words = [sys.executable, "-c", code, str(ranks.HERE.parent), str(tmp_path)]
    said = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ranks.HERE.parents[2]).stdout
    assert "parallel.engine is deepspeed, which cannot be imported" in said
    assert "pip install -e '.[deepspeed]', or use parallel.engine=native" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("trainer", "parallel", "name"),
    [
        ({"ema_decay": 0.9}, {}, "trainer.ema_decay"),
        ({}, {"cpu_offload": True}, "parallel.cpu_offload"),
        ({}, {"replicas": 2}, "parallel.replicas"),
        ({}, {"sharding": "none"}, "parallel.sharding"),
    ],
)
def test_settings_of_the_native_engine_are_refused(tmp_path: Path, trainer: dict, parallel: dict, name: str) -> None:
    config = TrainerConfig(run_dir=tmp_path, max_steps=1, **trainer)
    settings = {"optim": OptimConfig(), "parallel": ParallelConfig(engine="deepspeed", **parallel)}
    with pytest.raises(ValueError, match=rf"{name} has no part in parallel.engine=deepspeed; .*engine=native"):
        ZeroEngine(ToyTask(), config, **settings, device=torch.device("cpu"))


def test_nothing_imports_deepspeed_unasked() -> None:
    modules = "lumos.cli.training.training_run, xllmx.ranks.deepspeed_engine"
    code = f"import sys, {modules}; print(json.dumps(sorted(sys.modules)))"
    words = [sys.executable, "-c", f"import json; {code}"]
    loaded = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ranks.HERE.parents[2]).stdout
    assert "deepspeed" not in json.loads(loaded)
