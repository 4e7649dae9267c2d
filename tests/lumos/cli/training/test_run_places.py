"""A run of a stranger leads nowhere: what its config names is read where it lies in the user's own places alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lumos.cli import main
from lumos.cli.training.run_places import check_places, places_outside
from lumos.cli.training.training_run import LuminaVideoRunConfig, RunConfig
from lumos.lumina_video.training.run_settings import LuminaVideoTrainerConfig
from lumos.lumina_video.training.task import LuminaVideoTaskConfig
from lumos.lumos1.training.task import LumosTaskConfig
from xllmx.run.provenance.made_here import state_of
from xllmx.settings.config import save_config
from xllmx.store.address import Address
from xllmx.trainer import TrainerConfig

TRAINER = TrainerConfig(run_dir=Path("run"), max_steps=1, batch_size={})


def outside(tmp_path: Path, *, run: Path | Address | None = None, named: Path | str | None = None, **task: Any) -> list:
    config = RunConfig(trainer=TRAINER, task=LumosTaskConfig(**task))
    return [*places_outside(config, run or tmp_path / "run", ckpts=tmp_path / "ckpts", named=named)]


def test_names_and_what_lies_in_the_users_own_places_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "ckpts").mkdir()
    (tmp_path / "ckpts/mine").symlink_to(tmp_path / "elsewhere")  # the user's own link
    for place in (
        "lumos-tiny",
        "mine",
        "1B/not-here",
        "runs/not-there/model",
        f"{tmp_path}/ckpts/mine",
        f"{tmp_path}/run/m",
    ):
        assert outside(tmp_path, init_from=place) == [], place
    assert outside(tmp_path, model_config="configs/model/1B.yaml") == []
    assert outside(tmp_path, init_from=f"{tmp_path}/elsewhere", named=tmp_path / "elsewhere") == []


def test_paths_addresses_ways_up_and_links_of_the_run_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here/run").mkdir()
    (tmp_path / "here/run/link").symlink_to(tmp_path)
    for folder in ("x", "here/x", "here/.ssh"):  # the working directory is a home, often
        (tmp_path / folder).mkdir()
    run = tmp_path / "here/run"
    inside = ("x", ".ssh", f"{tmp_path}/here/x", "run/link")
    for place in ("/etc", "~", "../x", *inside, "file:///etc", "s3://b/x", "hf://org/name"):
        assert outside(tmp_path, run=run, init_from=place) == ["task.init_from"], place
    assert outside(tmp_path, model_config="/etc/passwd") == ["task.model_config"]
    assert outside(tmp_path, run=Address("s3", "b/run"), init_from="s3://b/run/model") == []


def test_checkpoints_elsewhere_are_asked_for_by_whoever_names_them(tmp_path: Path) -> None:
    config = RunConfig(trainer=replace(TRAINER, checkpoints="s3://b/run"))
    assert places_outside(config, tmp_path) == {"trainer.checkpoints": "s3://b/run"}
    assert places_outside(config, Address("s3", "b/run")) == {}


def test_an_export_copies_no_folder_that_a_strangers_config_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private/key").write_text("secret")
    task = LuminaVideoTaskConfig(text_encoder=str(tmp_path / "private"), init_from="s3://not-mine/model")
    config = LuminaVideoRunConfig(trainer=LuminaVideoTrainerConfig(run_dir=tmp_path / "run", max_steps=1), task=task)
    save_config(config, tmp_path / "run/config.yaml")
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "model")]) == 2
    said = capsys.readouterr().err
    assert f"leads to task.init_from=s3://not-mine/model, task.text_encoder={tmp_path / 'private'}, outside" in said
    assert "nothing was read there. If the run is yours, add --trust-run" in said
    assert not (tmp_path / "model").exists()


def test_a_run_that_was_trained_where_it_lies_leads_wherever_its_user_said(tmp_path: Path) -> None:
    """Written anew, or copied, it is anybody's."""
    run, config = tmp_path / "run", RunConfig(trainer=replace(TRAINER, checkpoints="s3://b/run"))
    save_config(config, run / "config.yaml")
    (run / "environment.json").write_text(json.dumps({"config_file": state_of(run / "config.yaml")}))
    check_places(config, run, ckpts=None, named=None)
    shutil.copytree(run, tmp_path / "copy")
    for other in (tmp_path / "copy", Address("s3", "c/run")):
        with pytest.raises(ValueError, match=r"leads to trainer.checkpoints=s3://b/run, .* add --trust-run$"):
            check_places(config, other, ckpts=None, named=None)
