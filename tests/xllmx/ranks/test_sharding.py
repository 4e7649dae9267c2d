"""Weights cut over real processes train as in one; checkpoints of one number of processes load on another."""

import json
from pathlib import Path
from typing import Any

import launched_ranks as ranks
import pytest
import torch
from torch import Tensor

from xllmx.checkpoints.checkpoint import CheckpointManager
from xllmx.checkpoints.stored import complete, here_of
from xllmx.ranks.parallel import ParallelConfig
from xllmx.ranks.sharding import fill_rows, local_rows, whole
from xllmx.run.reporting.metrics import read_metrics
from xllmx.store.address import Address

pytestmark = pytest.mark.timeout(600)
GLOBAL_BATCH = 12
COMMON = {"ema_decay": 0.9, "eval_every": 4, "eval_batches": 1}
NAMES = ("loss", "grad_norm", "image/loss", "image/accuracy", "tokens")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of one process: what all others are compared with."""
    run = tmp_path_factory.mktemp("sharding") / "one"
    ranks.train({"run": run, "trainer": {**COMMON, "batch_size": {"image": GLOBAL_BATCH}}})
    return run


def saved(run: Path) -> dict[str, Tensor]:
    """Everything in the newest checkpoint that is a tensor, by its path, read in one process."""
    newest = CheckpointManager(run / "checkpoints").latest()
    assert newest is not None
    return saved_at(newest)


def saved_at(newest: Path) -> dict[str, Tensor]:
    metadata = torch.distributed.checkpoint.FileSystemReader(newest).read_metadata().state_dict_metadata
    tensors = {name: torch.full(tuple(m.size), -7.0) for name, m in metadata.items() if hasattr(m, "size")}
    return CheckpointManager(newest.parent).load(newest, tensors)


def assert_same_run(run: Path, reference: Path, *, exact: bool = False, evaluated: bool = True) -> None:
    for kind in ("train", "eval") if evaluated else ("train",):
        rows, expected = read_metrics(run, kind), read_metrics(reference, kind)
        assert [row["step"] for row in rows] == [row["step"] for row in expected]
        for row, wanted in zip(rows, expected, strict=True):
            names = NAMES if kind == "train" else ("image/loss", "image/accuracy")
            values, targets = [row[name] for name in names], [wanted[name] for name in names]
            assert values == targets if exact else values == pytest.approx(targets, rel=2e-5), (run.name, kind)
    tensors, wanted = saved(run), saved(reference)
    assert tensors.keys() == wanted.keys()
    assert {name.split(".")[0] for name in tensors} == {"model", "optimizer", "average"}
    for name, value in wanted.items():
        torch.testing.assert_close(tensors[name], value, rtol=0 if exact else 1e-3, atol=0 if exact else 2e-6)


def planned(folder: Path, num: int, name: str, *, cuts: int = 1, **parallel: Any) -> dict[str, Any]:
    batch = {"batch_size": {"image": GLOBAL_BATCH // num // cuts}, "grad_accumulation": cuts}
    return {"run": folder / name, "trainer": {**COMMON, **batch}, "parallel": parallel}


@pytest.mark.slow
def test_two_processes_give_the_losses_and_weights_of_one(one: Path, tmp_path: Path) -> None:
    """However they share the work: sharded, gathered once or twice, replicated, offloaded, recomputed, accumulated."""
    plan = [
        planned(tmp_path, 2, "sharded"),
        planned(tmp_path, 2, "none", sharding="none"),
        planned(tmp_path, 2, "gathered_once", reshard_after_forward=False, activation_checkpointing=True),
        planned(tmp_path, 2, "selective", activation_checkpointing="selective"),
        planned(tmp_path, 2, "replicas", replicas=2),
        planned(tmp_path, 2, "offload", cpu_offload=True),
        planned(tmp_path, 2, "accumulated", cuts=3),
    ]
    plan[-1]["export"] = tmp_path / "model"
    ranks.run_ranks(plan, num=2)
    for entry in plan:
        assert_same_run(entry["run"], one, evaluated=entry["trainer"]["grad_accumulation"] == 1)
    exported, kept = torch.load(tmp_path / "model" / "model.pt"), saved(tmp_path / "accumulated")
    for name, value in exported.items():
        torch.testing.assert_close(value, kept[f"average.{name}"], rtol=0, atol=0)


@pytest.mark.slow
def test_three_processes_give_the_losses_and_weights_of_one(one: Path, tmp_path: Path) -> None:
    """Rows of 5, 6 and 8 do not divide by 3: the last rank has less, or nothing."""
    plan = [planned(tmp_path, 3, "sharded"), planned(tmp_path, 3, "accumulated", cuts=2)]
    ranks.run_ranks(plan, num=3)
    for entry in plan:
        assert_same_run(entry["run"], one, evaluated=entry["trainer"]["grad_accumulation"] == 1)


@pytest.mark.slow
def test_two_machines_of_two_hold_a_copy_each_and_give_the_losses_and_weights_of_one(one: Path, tmp_path: Path) -> None:
    """Which is what full sharding over both gives too; the losses are those of one process."""
    plan = [
        planned(tmp_path, 4, "by_itself"),
        planned(tmp_path, 4, "accumulated", cuts=3, sharding="hybrid"),
        planned(tmp_path, 4, "named", replicas=2),
        planned(tmp_path, 4, "full", sharding="full"),
    ]
    ranks.run_ranks(plan, num=4, a_machine=2)
    for entry in plan:
        assert_same_run(entry["run"], one, evaluated=entry["trainer"]["grad_accumulation"] == 1)
        said = (entry["run"] / "log.txt").read_text()
        wanted = "1 copy, each cut over 4" if entry["run"].name == "full" else "2 copies, each cut over 2"
        assert f"weights: {wanted} processes" in said


@pytest.mark.parametrize(
    ("given", "a_machine", "copies"),
    [
        ({}, 2, 3), ({}, 6, 1), ({}, None, 1), ({}, 1, 1), ({"sharding": "full"}, 2, 1), ({"sharding": "hybrid"}, 3, 2),
        ({"sharding": "hybrid"}, 1, 6), ({"sharding": "hybrid"}, 6, 1), ({"replicas": 6}, 3, 6),
        ({"replicas": 3}, 6, 3),
    ],
)  # fmt: skip
def test_six_processes_hold_a_copy_a_machine_unless_another_number_is_set(
    given: dict[str, Any], a_machine: int | None, copies: int
) -> None:
    assert ParallelConfig(**given).copies(6, a_machine=a_machine) == copies


@pytest.mark.parametrize(
    ("given", "a_machine", "message"),
    [
        ({"replicas": 4}, None, "replicas is 4, which does not divide 6 processes; use 1, 2, 3, 6, or leave it out"),
        (
            {"replicas": 3},
            3,
            "is 3, whose shards lie across the machines of 6 processes on 2 machines of 3; use 1, 2, 6",
        ),
        ({"sharding": "hybrid"}, None, "the 6 processes are not as many on each machine.*start as many on each"),
    ],
)
def test_copies_that_cannot_be_made_are_named(given: dict[str, Any], a_machine: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ParallelConfig(**given).copies(6, a_machine=a_machine)


@pytest.mark.slow
def test_one_process_alone_can_shard_too(one: Path, tmp_path: Path) -> None:
    entry = planned(tmp_path, 1, "alone", sharding="full")
    ranks.run_ranks([entry], num=1)
    assert_same_run(entry["run"], one)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_over_two_processes_is_near_that_of_one(tmp_path: Path, precision: str) -> None:
    trainer = {"precision": precision, "batch_size": {"image": 6}}
    ranks.train({"run": tmp_path / "one", "trainer": trainer})
    ranks.run_ranks([{"run": tmp_path / "two", "trainer": {**trainer, "batch_size": {"image": 3}}}], num=2)
    losses = [[row["loss"] for row in read_metrics(tmp_path / name)] for name in ("two", "one")]
    assert losses[0] == pytest.approx(losses[1], rel=5e-3)
    assert {tensor.dtype for tensor in saved(tmp_path / "two").values()} == {torch.float32}


@pytest.mark.slow
def test_a_killed_run_goes_on_bit_for_bit_and_on_any_number_of_processes(tmp_path: Path) -> None:
    """6 steps = 3 steps, SIGKILL, 3 steps, with dropout; what 2 wrote, 1 and 3 go on from."""
    trainer = {**COMMON, "max_steps": 6, "eval_every": 6, "save_every": 3, "keep": 1}
    task = {"dropout": 0.2}
    two = {**trainer, "batch_size": {"image": 6}}
    whole_run = {"run": tmp_path / "whole", "trainer": two, "task": task}
    ranks.run_ranks([whole_run], num=2)
    cut = {**whole_run, "run": tmp_path / "cut"}
    ranks.run_ranks([{**cut, "kill_after": 4}], num=2, fails=True)
    (tmp_path / "cut" / "checkpoints" / ".step-00000005.tmp").mkdir()  # and one that was being written
    assert [path.name for path in CheckpointManager(tmp_path / "cut" / "checkpoints").valid()] == ["step-00000003"]
    ranks.run_ranks([cut], num=2)
    assert_same_run(tmp_path / "cut", tmp_path / "whole", exact=True)
    assert [p.name for p in (tmp_path / "cut" / "checkpoints").iterdir()] == ["step-00000006"]
    for num in (1, 3):
        longer = {**trainer, "max_steps": 8, "batch_size": {"image": GLOBAL_BATCH // num}}
        entry = {"run": tmp_path / "cut", "trainer": longer}
        before = saved(tmp_path / "cut")
        if num == 1:
            resumed = ranks.train({**entry, "trainer": {**longer, "max_steps": 6}})
            for name, value in resumed.model.state_dict().items():
                assert torch.equal(value, before[f"model.{name}"])
        else:
            ranks.run_ranks([entry], num=num)
            assert [row["step"] for row in read_metrics(tmp_path / "cut")] == list(range(1, 9))


def test_rows_of_a_whole_tensor_are_all_its_rows() -> None:
    tensor = torch.zeros(5, 3)
    assert local_rows(tensor) == slice(0, 5)
    fill_rows(tensor, torch.arange(15.0).view(5, 3).__getitem__)
    assert torch.equal(whole(tensor), torch.arange(15.0).view(5, 3))


def test_parallel_settings_that_contradict_are_named() -> None:
    with pytest.raises(ValueError, match=r"replicas is 0"):
        ParallelConfig(replicas=0)
    with pytest.raises(ValueError, match=r"parallel.cpu_offload needs sharded weights.*sharding=full"):
        ParallelConfig(sharding="none", cpu_offload=True)
    with pytest.raises(ValueError, match=r"a copy a machine; leave parallel.replicas out"):
        ParallelConfig(sharding="hybrid", replicas=2)
    assert [ParallelConfig().is_sharded(num) for num in (1, 2)] == [False, True]
    assert not ParallelConfig(engine="deepspeed").is_sharded(2)
    assert json.loads(json.dumps(ParallelConfig(activation_checkpointing="selective").activation_checkpointing))


@pytest.mark.slow
def test_machines_without_a_common_disk_write_one_checkpoint_into_a_store(tmp_path: Path, bucket: Address) -> None:
    """What 2 sent, each from its own disk, 1 goes on from, as from what 2 wrote into one folder."""
    trainer = {**COMMON, "max_steps": 4, "save_every": 2, "batch_size": {"image": 6}}
    stored = {**trainer, "checkpoints": str(bucket / "run"), "keep": 1}
    here = {"run": tmp_path / "here", "trainer": trainer}
    ranks.run_ranks([here, {"run": tmp_path / "machine-RANK", "trainer": stored}], num=2)
    assert [place.name for place in complete(bucket / "run")] == ["step-00000004"]
    for number in (0, 1):
        assert list((tmp_path / f"machine-{number}" / "checkpoints").iterdir()) == []
    alone = {"max_steps": 6, "batch_size": {"image": GLOBAL_BATCH}}
    ranks.train({**here, "trainer": {**trainer, **alone}})
    ranks.train({"run": tmp_path / "other", "trainer": {**stored, **alone}})
    theirs = saved_at(here_of(complete(bucket / "run")[-1]))
    for name, value in saved(tmp_path / "here").items():
        torch.testing.assert_close(theirs[name], value, rtol=0, atol=0)
