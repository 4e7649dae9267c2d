"""A run of Lumina-Video becomes a folder that the pipeline takes, and one of the released layout."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from lumos import load_pipeline
from lumos.cli import main
from lumos.cli.training.lumina_export import write_released
from lumos.lumina_video.checkpoint.weights import load_dit, read_config
from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.dit import MultiScaleNextDiT
from tests.lumos.lumina_video.latents import run_config
from tests.lumos.lumina_video.tiny import CONFIG, DEFAULTS, tiny_lumina_folder, tiny_vae_folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; it started from a model folder, whose VAE it names."""
    folder = tmp_path_factory.mktemp("trained")
    tiny_lumina_folder(folder / "base")
    vae = tiny_vae_folder(folder / "vae")
    shutil.rmtree(folder / "vae")
    (vae.parent / "base" / "vae").rename(folder / "other_vae")
    task = {"init_from": str(folder / "base")}
    assert main(["train", "--config", str(run_config(folder, steps=2, task=task))]) == 0
    (folder / "other_vae").rename(folder / "base" / "vae")
    return folder


def test_an_exported_run_generates(trained: Path, tmp_path: Path) -> None:
    assert main(["export", str(trained / "run"), str(tmp_path / "model"), "--tokenizers", str(trained / "base")]) == 0
    clips = {"width": 96, "height": 64, "num_frames": 8, "fps": 8}  # of training, in place of those of the base
    assert json.loads((tmp_path / "model" / "generation_config.json").read_text()) == {**DEFAULTS, **clips}
    model = load_dit(tmp_path / "model")
    assert model.config == CONFIG
    assert not torch.equal(
        model.layers[0].attention.wq.weight, load_dit(trained / "base").layers[0].attention.wq.weight
    )
    frames = load_pipeline(tmp_path / "model", device="cpu")("a red circle", seed=1).frames
    assert len(frames[0]) == DEFAULTS["num_frames"]


def test_the_encoder_of_the_run_goes_along(trained: Path, tmp_path: Path) -> None:
    assert main(["export", str(trained / "run"), str(tmp_path / "model"), "--dtype", "bfloat16"]) == 0
    assert (tmp_path / "model" / "text_encoder" / "tokenizer.json").is_file()
    assert json.loads((tmp_path / "model" / "generation_config.json").read_text())["preset"] == DEFAULTS["preset"]
    assert load_dit(tmp_path / "model").pad_token.dtype == torch.bfloat16


def test_an_encoder_that_another_model_lacks_is_that_of_the_run(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it the shared one would be taken, which gives other pictures for the same latents."""
    base, target = trained / "base", tmp_path / "model"
    other = shutil.copytree(base, tmp_path / "other", ignore=shutil.ignore_patterns("vae"))
    run, away = shutil.copytree(trained / "run", tmp_path / "run"), tmp_path / "away"
    words = ["export", str(run), str(target), "--trust-run"]
    assert main([*words, "--tokenizers", str(other)]) == 0
    mine, kept = (place / "vae" / "config.json" for place in (base, target))
    assert kept.read_bytes() == mine.read_bytes()
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("vae: null", f"vae: {away}"))
    assert main([*words, "--overwrite"]) == 2
    assert f"task.vae of the run is {away}, which is not there; put it back, or" in capsys.readouterr().err
    assert kept.is_file()


def test_encoders_of_a_model_that_is_gone_are_not_the_released_ones(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that names an architecture is read without the model that it started from."""
    monkeypatch.setattr("lumos.lumina_video.config.PRESETS", {"Small": CONFIG})
    run, target = shutil.copytree(trained / "run", tmp_path / "run"), tmp_path / "model"
    said = (run / "config.yaml").read_text().replace("architecture: null", "architecture: Small")
    (run / "config.yaml").write_text(said.replace(f"init_from: {trained / 'base'}", f"init_from: {tmp_path / 'gone'}"))
    words = ["export", str(run), str(target), "--trust-run"]
    assert main(words) == 2
    assert f"task.init_from is {tmp_path / 'gone'}, which is not there: correct the name" in capsys.readouterr().err
    assert not target.exists()
    assert main([*words, "--tokenizers", str(trained / "base")]) == 0
    assert (target / "vae").is_dir()


def test_the_released_layout_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = LuminaVideoConfig.from_dict({**CONFIG.to_dict(), "rope_theta": 64.0})
    monkeypatch.setattr("lumos.cli.training.lumina_export.PRESETS", presets := {"Small": CONFIG})
    monkeypatch.setattr("lumos.lumina_video.config.PRESETS", presets)
    model = MultiScaleNextDiT(small)
    write_released(model, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["consolidated.00-of-01.pth", "model_args.pth"]
    assert read_config(tmp_path) == small
    torch.testing.assert_close(load_dit(tmp_path).state_dict(), model.state_dict())


def test_sizes_that_the_released_layout_cannot_name_are_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(trained / "run"), str(tmp_path / "model"), "--released"]) == 2
    assert "this model has other sizes; leave --released out" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
