"""A run's folder: one training at a time, and nothing that the training reads."""

import os
from pathlib import Path

import pytest

from xllmx.run import folder
from xllmx.run.folder import claimed_run
from xllmx.run.lock import HeldError
from xllmx.store.address import Address


def test_a_second_training_is_refused(tmp_path: Path) -> None:
    with (
        claimed_run(tmp_path / "run", inputs={}, config_file=None),
        pytest.raises(
            HeldError, match=rf"run is trained by another process \(process {os.getpid()} on .*; wait for it"
        ),
    ):
        claimed_run(tmp_path / "run", inputs={}, config_file=None).__enter__()
    with claimed_run(tmp_path / "run", inputs={}, config_file=None):
        pass
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("place", ["model", "model/run", "link"])
def test_the_folder_is_no_model_that_the_training_reads_nor_in_it(tmp_path: Path, place: str) -> None:
    (tmp_path / "model" / "run").mkdir(parents=True)
    (tmp_path / "link").symlink_to("model")
    inputs = {"the model task.init_from": tmp_path / "model"}
    with pytest.raises(ValueError, match=r"trainer.run_dir: .* is the model task.init_from, and would be written over"):
        claimed_run(tmp_path / place, inputs=inputs, config_file=None).__enter__()


def test_a_folder_that_is_still_to_be_made_lies_in_no_input_either(tmp_path: Path) -> None:
    """Else it would be made, and refused when the run goes on."""
    (tmp_path / "model").mkdir()
    inputs = {"the model task.init_from": tmp_path / "model"}
    with pytest.raises(ValueError, match=r"trainer.run_dir: .* is the model task.init_from, and would be written over"):
        claimed_run(tmp_path / "model" / "runs" / "1", inputs=inputs, config_file=None).__enter__()
    assert not any((tmp_path / "model").iterdir())


def test_weights_that_training_starts_from_are_not_those_that_it_ends_with(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "network.safetensors").touch()
    os.link(tmp_path / "run" / "network.safetensors", tmp_path / "first.safetensors")
    how = {"config_file": None, "written": ("network.safetensors",)}
    with pytest.raises(ValueError, match=r"is task.init_from, and would be written over"):
        claimed_run(tmp_path / "run", inputs={"task.init_from": tmp_path / "first.safetensors"}, **how).__enter__()


def test_a_file_of_settings_that_a_person_wrote_is_not_the_one_that_the_run_writes(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("# mine\n")
    with pytest.raises(ValueError, match="is the file of settings, and would be written over"):
        claimed_run(tmp_path, inputs={}, config_file=file).__enter__()
    (tmp_path / "environment.json").write_text("{}")  # a run wrote both
    with claimed_run(tmp_path, inputs={}, config_file=file):
        assert file.read_text() == "# mine\n"


def test_a_process_beside_the_main_one_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with claimed_run(tmp_path / "run", inputs={}, config_file=None):
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("variable", ["TORCHELASTIC_MAX_RESTARTS", "SLURM_RESTART_COUNT"])
def test_a_run_that_is_started_again_by_itself_waits_for_a_machine_that_died(
    tmp_path: Path, bucket: Address, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The lease of another machine stays for ten minutes: who is started again meanwhile must not end with it."""
    lease = bucket / "run" / ".lock"
    lease.write_bytes(b'{"process": 1, "host": "dead", "place": "elsewhere"}')
    how = {"inputs": {}, "config_file": None, "store": bucket / "run"}
    with pytest.raises(HeldError, match=r"is written by another process \(process 1 on dead"):
        claimed_run(tmp_path / "run", **how).__enter__()
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            lease.unlink()

    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(folder.time, "sleep", sleep)
    with claimed_run(tmp_path / "run", **how):
        assert len(waited) == 2
