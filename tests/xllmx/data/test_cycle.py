"""Streams that take turns or go together: which are in a step, how losses add up, and that no cut changes them."""

from pathlib import Path
from typing import Any

import launched_ranks as ranks
import pytest
import torch
from torch import nn
from toy_task import ToyTask

from xllmx.data.cycle import StreamCycle
from xllmx.optimisation.optim import OptimConfig
from xllmx.run.reporting.metrics import read_metrics
from xllmx.task import Prepared
from xllmx.trainer import Trainer, TrainerConfig

STREAMS = ("image", "fine", "coarse")
RATIOS = {"image": 1, "fine": 3, "coarse": 2}
NAMES = ("loss", "grad_norm", "image/loss", "fine/loss", "coarse/loss")


def trainer_of(run_dir: Path, *, task: ToyTask | None = None, **settings: Any) -> Trainer:
    config = {
        "max_steps": 7, "together": RATIOS, "device": "cpu", "precision": "fp32", "log_every": 1, "save_every": 0,
        "progress": False, "batch_size": {"image": 6, "fine": 12, "coarse": 18}, **settings,
    }  # fmt: skip
    return Trainer(task or ToyTask(streams=STREAMS), TrainerConfig(run_dir=run_dir, **config), OptimConfig(lr=1e-2))


def test_streams_take_turns() -> None:
    cycle = StreamCycle.in_turns({"image": 1, "video": 2})
    assert [cycle.at(step) for step in range(5)] == [("image",), ("video",), ("video",), ("image",), ("video",)]
    assert [cycle.draws("video", step) for step in range(6)] == [0, 0, 1, 2, 2, 3]
    assert [cycle.draws("image", step) for step in range(6)] == [0, 1, 1, 1, 2, 2]
    assert cycle.steps_per_draw("video") == 1.5


def test_a_count_of_zero_leaves_a_stream_out() -> None:
    assert StreamCycle.in_turns({"image": 0, "video": 1}).names == ["video"]
    for counts in ({}, {"image": 0}, {"image": 1, "video": -1}):
        with pytest.raises(ValueError, match="count of at least 1"):
            StreamCycle.in_turns(counts)


def test_streams_that_go_together_are_in_the_steps_their_ratios_say() -> None:
    ratios = {"image": 2, "fine": 4, "coarse": 1}
    cycle = StreamCycle.together(ratios)
    for step in range(11):
        assert cycle.at(step) == tuple(name for name, ratio in ratios.items() if step % 4 < ratio)
        assert {name: cycle.draws(name, step) for name in ratios} == {
            name: step // 4 * ratio + min(step % 4, ratio) for name, ratio in ratios.items()
        }
    assert cycle.names == ["image", "fine", "coarse"]
    assert cycle.steps_per_draw("image") == 2
    with pytest.raises(ValueError, match=r"together\.b is 0; give a whole number of at least 1"):
        StreamCycle.together({"a": 1, "b": 0})


def test_every_active_stream_gives_a_batch_to_each_step(tmp_path: Path) -> None:
    trainer_of(tmp_path).fit()
    for step, row in enumerate(read_metrics(tmp_path)):
        active = {name for name, ratio in RATIOS.items() if step % 3 < ratio}
        assert {name for name in STREAMS if f"{name}/loss" in row} == active
        assert row["loss"] == pytest.approx(sum(row[f"{name}/loss"] for name in active))


def test_streams_of_one_step_draw_differently(tmp_path: Path) -> None:
    seeds: list[int] = []

    class Watched(ToyTask):
        def prepare(self, batch: Any, generator: torch.Generator) -> Prepared:
            seeds.append(generator.initial_seed())
            return super().prepare(batch, generator)

    trainer_of(tmp_path, task=Watched(streams=STREAMS), max_steps=1).fit()
    assert len(seeds) == len(set(seeds)) == 3


def test_accumulated_batches_give_the_same_losses(tmp_path: Path) -> None:
    trainer_of(tmp_path / "whole").fit()
    batches = {"image": 3, "fine": 4, "coarse": 18}
    trainer_of(tmp_path / "cut", batch_size=batches, global_batch_size={"image": 6, "fine": 12, "coarse": 18}).fit()
    for cut, whole in zip(read_metrics(tmp_path / "cut"), read_metrics(tmp_path / "whole"), strict=True):
        for name in NAMES:
            assert cut.get(name) == (pytest.approx(whole[name], rel=1e-5) if name in whole else None)


def test_a_run_that_was_stopped_goes_on_bit_for_bit(tmp_path: Path) -> None:
    average = {"ema_decay": 0.9, "ema_every": 2}
    whole, first = trainer_of(tmp_path / "whole", **average), trainer_of(tmp_path / "cut", max_steps=4, **average)
    whole.fit(), first.fit()
    second = trainer_of(tmp_path / "cut", **average)
    assert second.step == 4
    second.fit()
    for mine, wanted in (
        (second.model.state_dict(), whole.model.state_dict()),
        (second.ema_state(), whole.ema_state()),
    ):
        assert all(torch.equal(value, wanted[name]) for name, value in mine.items())
    losses = [[row["loss"] for row in read_metrics(tmp_path / run)] for run in ("whole", "cut")]
    assert losses[0] == losses[1]


class Unused(ToyTask):
    """Has a weight that no batch uses."""

    def build_model(self) -> nn.Module:
        model = super().build_model()
        model.extra = nn.Linear(4, 3, device="meta")
        return model


def test_a_weight_that_no_batch_uses_is_kept_and_resumed(tmp_path: Path) -> None:
    trainer_of(tmp_path, task=Unused(streams=STREAMS), max_steps=2).fit()
    resumed = trainer_of(tmp_path, task=Unused(streams=STREAMS))
    assert resumed.step == 2
    assert float(resumed.optimizer.state[resumed.model.extra.weight]["exp_avg"].abs().max()) == 0
    assert resumed.fit().step == 7


def test_a_bad_loss_names_all_streams_of_its_step(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"step 2 \(streams fine, coarse\)"):
        trainer_of(tmp_path, task=ToyTask(streams=STREAMS, bad_step=5)).fit()
    assert (tmp_path / "not-finite-step-00000002.json").is_file()


def test_bad_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="together names 'audio', and no stream has this name; known are image, fine, coarse"
    ):
        trainer_of(tmp_path, together={"audio": 1})
    with pytest.raises(ValueError, match="set one of"):
        trainer_of(tmp_path, schedule={"image": 1})


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("num", [2, 3])
def test_more_processes_give_the_losses_of_one(tmp_path: Path, num: int) -> None:
    total = {"image": 6, "fine": 12, "coarse": 18}
    common = {"max_steps": 4, "together": RATIOS, "global_batch_size": total, "task": {"streams": STREAMS}}

    def planned(name: str, processes: int, **parallel: Any) -> dict[str, Any]:
        batches = {stream: size // 6 if stream == "fine" else size // processes for stream, size in total.items()}
        trainer = {**{k: v for k, v in common.items() if k != "task"}, "batch_size": batches}
        return {"run": tmp_path / name, "task": common["task"], "trainer": trainer, "parallel": parallel}

    ranks.train(planned("one", 1))
    plan = [planned("sharded", num), planned("none", num, sharding="none")]
    plan += [planned("replicas", num, replicas=num)]
    ranks.run_ranks(plan, num=num)
    for entry in plan:
        for row, wanted in zip(read_metrics(entry["run"]), read_metrics(tmp_path / "one"), strict=True):
            for name in set(NAMES) & wanted.keys():
                assert row[name] == pytest.approx(wanted[name], rel=2e-5), (entry["run"].name, name)
