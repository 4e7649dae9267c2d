"""Checkpoints in a store: whole or not there, gone on from wherever the newest is, and none lost on the way."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_trainer import _after_step, _stop_after, assert_equal, losses_of, trainer_of, weights_of

from xllmx.checkpoints.checkpoint import CheckpointError, CheckpointManager
from xllmx.checkpoints.hashes import HashingWriter
from xllmx.checkpoints.stored import checkpoints_of, complete, here_of, to_begin_from
from xllmx.run.lock import HeldError
from xllmx.store import lease
from xllmx.store.access import StoreError
from xllmx.store.address import Address


def state(value: float) -> dict:
    return {"model": {"weight": torch.full((3, 5), value), "bias": torch.full((2,), -value)}, "name": f"at {value}"}


@pytest.fixture
def run(bucket: Address) -> Address:
    return bucket / "run"


@pytest.fixture
def manager(run: Address, tmp_path: Path) -> CheckpointManager:
    return CheckpointManager(tmp_path / "checkpoints", keep=2, store=run)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Makes the store refuse all that is sent, or take it again."""
    put = Address.put

    def refuse(address: Address, file: Path) -> None:
        raise StoreError(f"{address}: the store cannot be reached (refused); check the network")

    return lambda is_away: monkeypatch.setattr(Address, "put", refuse if is_away else put)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("async_save", [False, True])
def test_what_is_loaded_is_what_was_sent(manager: CheckpointManager, run: Address, async_save: bool) -> None:
    (manager.start if async_save else manager.save)(4, state(4.5), record={"config": {"lr": 1}})
    manager.finish()
    assert names(manager.folder) == []  # nothing stays here
    path = manager.to_resume(allowed=True)
    assert path is not None
    loaded = manager.load(path, state(0.0))
    assert (path.name, loaded["name"]) == ("step-00000004", "at 4.5")
    assert torch.equal(loaded["model"]["weight"], torch.full((3, 5), 4.5))
    record = json.loads((run / "step-00000004/checkpoint.json").read_text())
    there = {str(one.relative_to(run / "step-00000004")) for one, _ in (run / "step-00000004").files()}
    assert (record["config"], there) == ({"lr": 1}, {*record["files"], "checkpoint.json"})


def test_the_marker_is_sent_last_and_removed_first(
    manager: CheckpointManager, run: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    put, write, unlink = Address.put, Address.write_bytes, Address.unlink
    monkeypatch.setattr(Address, "put", lambda a, file: (done.append(f"+{a.name}"), put(a, file)))
    monkeypatch.setattr(Address, "write_bytes", lambda a, c, **k: (done.append(f"+{a.name}"), write(a, c, **k)))
    monkeypatch.setattr(
        Address, "unlink", lambda a, missing_ok=False: (done.append(f"-{a.name}"), unlink(a, missing_ok))
    )
    manager.save(1, state(1.0))
    assert done[-2:] == ["+checkpoint.json", "-.hashes-__0_0.distcp.json"]
    assert done.index("+.metadata") < done.index("+checkpoint.json")
    done.clear()
    manager.save(1, state(2.0))  # the same step again
    removed = [one for one in done if one.startswith("-")]
    assert removed[0] == "-checkpoint.json"
    assert manager.load(here_of(complete(run)[-1]), state(0.0))["name"] == "at 2.0"


def test_the_newest_are_kept_there(manager: CheckpointManager, run: Address) -> None:
    for step in (9, 10, 100):
        manager.save(step, state(step))
    assert [place.name for place in complete(run)] == ["step-00000010", "step-00000100"]
    assert (run / "step-00000009").files() == []


def test_half_a_checkpoint_is_none(manager: CheckpointManager, run: Address) -> None:
    for step in (1, 2):
        manager.save(step, state(step))
    (run / "step-00000002/checkpoint.json").unlink()
    path = manager.to_resume(allowed=True)
    assert path is not None
    assert path.name == "step-00000001"


def test_what_cannot_be_sent_is_kept_gone_on_from_and_sent_with_the_next(
    manager: CheckpointManager, run: Address, away: Callable[[bool], None], caplog: pytest.LogCaptureFixture
) -> None:
    manager.save(1, state(1.0))
    away(True)
    with caplog.at_level(logging.WARNING):
        manager.save(2, state(2.0))  # training goes on
    assert "step-00000002 is not in s3://" in caplog.text
    assert "cannot be reached" in caplog.text
    assert "kept here and sent again with the next one" in caplog.text
    assert names(manager.folder) == ["step-00000002"]
    path = manager.to_resume(allowed=True)
    assert path == manager.folder / "step-00000002"
    with pytest.raises(CheckpointError, match=r"kept in .*checkpoints: mend that, and the same command sends it"):
        manager.finish()
    away(False)
    manager.save(3, state(3.0))
    manager.finish()
    assert [place.name for place in complete(run)] == ["step-00000002", "step-00000003"]
    assert names(manager.folder) == []
    assert manager.load(here_of(complete(run)[0]), state(0.0))["name"] == "at 2.0"


def test_a_run_that_is_started_again_sends_what_was_kept(
    manager: CheckpointManager, run: Address, away: Callable[[bool], None]
) -> None:
    away(True)
    manager.save(2, state(2.0))
    away(False)
    again = CheckpointManager(manager.folder, store=run)
    again.finish()
    assert [place.name for place in complete(run)] == ["step-00000002"]
    assert names(manager.folder) == []


def test_one_that_was_kept_takes_the_place_of_another_machine_s_of_that_step_whole(
    manager: CheckpointManager, run: Address, tmp_path: Path, away: Callable[[bool], None]
) -> None:
    away(True)
    manager.save(2, state(2.0))
    away(False)
    CheckpointManager(tmp_path / "another disk", store=run).save(2, state(3.0))
    manager.finish()
    assert names(manager.folder) == []
    assert [place.name for place in complete(run)] == ["step-00000002"]  # else it is nowhere any more
    assert manager.load(here_of(complete(run)[0]), state(0.0))["name"] == "at 2.0"


def test_what_a_process_left_that_was_killed_while_it_removed_one_that_was_sent_is_removed(
    manager: CheckpointManager,
) -> None:
    for name in ("step-00000001", "step-00000003"):
        (manager.folder / name).mkdir(parents=True)
    manager.save(2, state(2.0))
    assert names(manager.folder) == ["step-00000003"]


@pytest.mark.parametrize("when", ["before it is written", "while it is written", "before it is sent"])
def test_a_run_whose_folder_another_one_has_taken_ends_and_changes_nothing_there(
    manager: CheckpointManager, run: Address, away: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    manager.save(1, state(1.0))
    finish = HashingWriter.finish

    def lose() -> None:
        monkeypatch.setitem(lease._LOST, run / ".lock", HeldError("it is written by another", holder="process 4711"))

    if when == "before it is written":
        lose()
    elif when == "before it is sent":
        away(True)
        manager.save(2, state(2.0))
        away(False)
        lose()
    else:
        monkeypatch.setattr(HashingWriter, "finish", lambda writer, **written: (lose(), finish(writer, **written)))
        manager.start(2, state(2.0))
    with pytest.raises(HeldError, match="another process has taken the place of this one: it is written by another"):
        _ = manager.save(1, state(2.0)) if when == "before it is written" else manager.finish()
    assert [place.name for place in complete(run)] == ["step-00000001"]
    assert manager.load(here_of(complete(run)[0]), state(0.0))["name"] == "at 1.0"


def test_remains_of_another_checkpoint_of_that_step_are_not_taken_for_its_files(
    manager: CheckpointManager, run: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.save(1, state(1.0))
    (run / "step-00000001/checkpoint.json").unlink()
    (run / "step-00000001/.hashes-__0_0.distcp.json").write_bytes(b'{"__0_0.distcp": "of another"}')
    (run / "step-00000001/__7_0.distcp").write_bytes(b"of more ranks")
    monkeypatch.setattr("xllmx.checkpoints.stored._remove", lambda _: (_ for _ in ()).throw(StoreError("busy")))
    manager.save(1, state(2.0))
    path = here_of(complete(run)[-1])
    assert manager.load(path, state(0.0))["name"] == "at 2.0"
    assert not (path / "__7_0.distcp").exists()


def test_one_whose_content_has_changed_is_passed_over_and_counts_no_more(
    manager: CheckpointManager, run: Address, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (1, 2):
        manager.save(step, state(step))
    place = run / "step-00000002/__0_0.distcp"
    place.write_bytes(bytes(len(place.read_bytes())))
    with caplog.at_level(logging.WARNING):
        path = manager.to_resume(allowed=True)
    assert path is not None
    assert path.name == "step-00000001"
    assert "step-00000002 is damaged (__0_0.distcp is not what was written)" in caplog.text
    assert [one.name for one in complete(run)] == ["step-00000001"]
    assert (run / "step-00000002/damaged.json").is_file()
    with pytest.raises(ValueError, match=r"run holds checkpoints; use trainer.resume=true, or another folder"):
        manager.to_resume(allowed=False)


def test_where_all_are_damaged_a_run_never_begins_anew_by_itself(manager: CheckpointManager, run: Address) -> None:
    for step in (1, 2):
        manager.save(step, state(step))
        place = run / f"step-{step:08d}/__0_0.distcp"
        place.write_bytes(bytes(len(place.read_bytes())))
    for _ in range(2):  # the same command again, as a launcher gives it
        with pytest.raises(ValueError, match=r"every checkpoint in .*run is damaged; bring one back"):
            manager.to_resume(allowed=True)
    assert [place.name for place in complete(run)] == ["step-00000001", "step-00000002"]


def test_all_ranks_pass_over_what_is_damaged_on_the_disk_of_one(
    manager: CheckpointManager, run: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2):
        manager.save(step, state(step))
    elsewhere = iter([True, False])  # of another rank: its copy of the newest is cut
    monkeypatch.setattr("xllmx.checkpoints.folder.any_rank", lambda flag: flag or next(elsewhere))
    path = manager.to_resume(allowed=True)
    assert path is not None
    assert path.name == "step-00000001"
    assert [place.name for place in complete(run)] == ["step-00000001"]


def test_one_that_was_not_sent_and_other_machines_lack_is_neither_passed_over_nor_set_aside(
    manager: CheckpointManager, away: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.save(1, state(1.0))
    away(True)
    manager.save(2, state(2.0))
    monkeypatch.setattr("xllmx.checkpoints.checkpoint.any_rank", lambda _: True)
    with pytest.raises(
        ValueError, match="step-00000002 could not be sent, and other machines do not have it: start on"
    ):
        manager.to_resume(allowed=True)
    assert names(manager.folder) == ["step-00000002"]


def test_parts_that_lie_on_the_disks_of_other_machines_make_one_checkpoint(
    manager: CheckpointManager, run: Address, tmp_path: Path, away: Callable[[bool], None]
) -> None:
    """Two managers stand for two machines: what the other one wrote is known by what it sent."""
    manager.save(7, state(7.0))
    whole = here_of(complete(run)[-1])
    record = json.loads((whole / "checkpoint.json").read_text())
    assert manager.stored is not None
    for is_sent in (True, False):
        place, here = run / "step-00000008", tmp_path / "checkpoints" / ".step-00000008.tmp"
        manager.stored.clear(place)
        here.mkdir(parents=True)
        (here / ".metadata").write_bytes((whole / ".metadata").read_bytes())
        if is_sent:
            (place / "__0_0.distcp").put(whole / "__0_0.distcp")
            (place / ".hashes-__0_0.distcp.json").write_bytes(json.dumps(record["sha256"]).encode())
        target = manager.folder / "step-00000008"
        manager.stored.publish(here, target, {"step": 8, "ranks": 2}, needed={"__0_0.distcp"})
        assert not here.exists()
        assert (place in complete(run)) == is_sent
        if is_sent:
            path = manager.to_resume(allowed=True)
            assert path is not None
            assert (path.name, manager.load(path, state(0.0))["name"]) == ("step-00000008", "at 7.0")
    away(True)
    CheckpointManager(manager.folder, store=run).save(6, state(6.0))
    away(False)
    said = r"step 8 is not in .*distcp was not sent from the machine that wrote it"
    with pytest.raises(CheckpointError, match=said):  # that an older one can be sent by now does not hide it
        manager.finish()
    assert names(manager.folder) == []


def test_a_run_begins_from_a_checkpoint_at_an_address(
    manager: CheckpointManager, run: Address, bucket: Address
) -> None:
    for step in (1, 2):
        manager.save(step, state(step))
    assert to_begin_from(run, check_hashes=True).name == "step-00000002"
    assert to_begin_from(run / "step-00000001", check_hashes=True).name == "step-00000001"
    with pytest.raises(ValueError, match=r"trainer.resume_path is s3://.*/other, where there is no complete"):
        to_begin_from(bucket / "other", check_hashes=True)
    assert [place.name for place in checkpoints_of(run)] == ["step-00000001", "step-00000002"]


def test_a_store_that_cannot_be_asked_is_said_before_a_run_begins(
    manager: CheckpointManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden-secret")
    other = CheckpointManager(manager.folder, store=Address("s3", "no-such-bucket/run"))
    with pytest.raises(StoreError, match=r"no-such-bucket/run: there is no such bucket") as caught:
        other.to_resume(allowed=True)
    assert "hidden-secret" not in str(caught.value)


def test_a_run_whose_checkpoints_go_to_a_store_goes_on_on_another_machine_bit_for_bit(
    tmp_path: Path, bucket: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trainer_of(tmp_path / "whole", ema_decay=0.9)
    whole.fit()
    settings = {"ema_decay": 0.9, "checkpoints": str(bucket / "run"), "save_every": 2, "keep": 1}
    _stop_after(trainer_of(tmp_path / "one", **settings), 3)
    assert [path.name for path in (tmp_path / "one/checkpoints").iterdir()] == []
    second = trainer_of(tmp_path / "two", **settings)
    assert second.step == 3
    second.fit()
    assert_equal(weights_of(whole), weights_of(second))
    assert_equal(whole.ema_state(), second.ema_state())
    assert losses_of(tmp_path / "whole") == losses_of(tmp_path / "one") + losses_of(tmp_path / "two")
    assert [place.name for place in complete(bucket / "run")] == ["step-00000006"]
    assert (bucket / "run/config.yaml").read_text() == (tmp_path / "two/config.yaml").read_text()
    third = trainer_of(tmp_path / "three", max_steps=7, resume_path=Path(str(bucket / "run")))  # as YAML gives it
    assert third.step == 6
    last = trainer_of(tmp_path / "two", **{**settings, "max_steps": 7})

    def away(_: Address, __: Path) -> None:
        raise StoreError("the store is away")

    _after_step(last, 7, lambda: monkeypatch.setattr(Address, "put", away))
    with pytest.raises(ValueError, match=r"step-00000007 is not in s3://.*the store is away.*kept in .*mend that"):
        last.fit()
    assert trainer_of(tmp_path / "two", **{**settings, "max_steps": 7}).step == 7
