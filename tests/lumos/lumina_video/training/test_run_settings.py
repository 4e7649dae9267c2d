"""What a training of Lumina-Video does where its config names nothing: as released (README section 6)."""

from pathlib import Path

import pytest
import torch

from lumos.cli import main
from lumos.cli.training.training_run import LuminaVideoRunConfig, RunConfig, load_run, run
from lumos.lumina_video.checkpoint.weights import open_weights
from tests.lumos.lumina_video import latents as lumina
from xllmx.checkpoints.checkpoint import CheckpointManager
from xllmx.optimisation.optim import learning_rate
from xllmx.settings.config import load_config

WORDS = ["trainer.run_dir=r", "trainer.max_steps=100"]


def test_defaults_are_the_released_ones_and_a_config_wins() -> None:
    config = load_run(None, ["model=lumina_video", *WORDS])
    assert isinstance(config, LuminaVideoRunConfig)
    optim, trainer = config.optim, config.trainer
    assert (optim.name, optim.lr, optim.betas, optim.eps, optim.weight_decay) == ("adamw", 1e-4, (0.9, 0.95), 1e-15, 0)
    assert {learning_rate(optim, step, max_steps=100, steps_per_epoch=10.0) for step in (0, 50, 99)} == {1e-4}
    assert (trainer.clip_grad_norm, trainer.ema_decay, trainer.ema_every) == (2.0, 0.99, 10)
    other = load_run(None, ["model=lumina_video", *WORDS, "optim.eps=1e-8", "trainer.ema_decay=0"])
    assert (other.optim.eps, other.optim.lr, other.trainer.ema_decay) == (1e-8, 1e-4, 0)
    assert (config.engine_settings.ema_decay, config.engine_settings.clip_grad_norm) == (0.99, 2.0)


def test_lumos_1_keeps_its_own() -> None:
    config = load_run(None, WORDS)
    assert isinstance(config, RunConfig)
    assert (config.optim.lr, config.optim.eps, config.optim.weight_decay) == (5e-5, 1e-8, 0.1)
    assert (config.trainer.clip_grad_norm, config.trainer.ema_decay, config.trainer.ema_every) == (4.0, 0.0, 1)


def test_the_released_recipe_says_what_the_defaults_are(repo: Path) -> None:
    recipe = load_config(LuminaVideoRunConfig, repo / "configs" / "train" / "lumina_f8F32R256.yaml")
    default = load_config(LuminaVideoRunConfig, None, WORDS)
    for name in ("betas", "eps", "weight_decay", "warmup_steps", "warmup_epochs"):
        assert getattr(recipe.optim, name) == getattr(default.optim, name), name
    for name in ("clip_grad_norm", "ema_decay", "ema_every"):
        assert getattr(recipe.trainer, name) == getattr(default.trainer, name), name


@pytest.mark.parametrize(("word", "said"), [("optim.eps", "default 1e-15"), ("trainer.ema_every", "default 10")])
def test_the_list_of_settings_says_the_defaults_of_the_model(
    word: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--keys", word, "model=lumina_video"]) == 0
    assert said in capsys.readouterr().out


def test_a_run_that_kept_no_average_goes_on_and_begins_one(tmp_path: Path) -> None:
    path = lumina.run_config(tmp_path)
    words = ["trainer.max_steps=2", "trainer.log_every=1"]
    assert run(load_run(path, [*words, "trainer.ema_decay=0"])).step == 2
    place = tmp_path / "run" / "checkpoints"
    assert not CheckpointManager(place).holds(place / "step-00000002", "average")
    assert run(load_run(path, ["trainer.max_steps=4", "trainer.ema_decay=0.5", "trainer.ema_every=2"])).step == 4
    assert CheckpointManager(place).holds(place / "step-00000004", "average")
    lines = (tmp_path / "run" / "log.txt").read_text()
    assert "trainer.ema_decay: 0.0 -> 0.5" in lines


def test_a_run_that_took_up_averaging_since_its_checkpoint_is_exported_with_the_weights_there(tmp_path: Path) -> None:
    path = lumina.run_config(tmp_path)
    run(load_run(path, ["trainer.max_steps=1", "trainer.ema_decay=0"]))
    kept = tmp_path / "run" / "config.yaml"
    first = tmp_path / "first"
    assert main(["export", str(tmp_path / "run"), str(first), "--trust-run"]) == 0
    kept.write_text(kept.read_text().replace("ema_decay: 0.0", "ema_decay: 0.99"))
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "second"), "--trust-run"]) == 0
    one, other = open_weights(first), open_weights(tmp_path / "second")
    name = "layers.0.attention.wq.weight"
    assert torch.equal(one.read(name), other.read(name))


def test_a_global_batch_that_the_processes_do_not_divide_is_named_as_it_is_set(tmp_path: Path) -> None:
    config = load_run(lumina.run_config(tmp_path, task={"tasks": lumina.tasks_of(tmp_path)}))
    assert isinstance(config, LuminaVideoRunConfig)
    said = (
        r"task\.tasks\.images\.global_bsz is 6, which 4 processes with batches of 6 \(task\.tasks\.images\.micro_bsz\)"
    )
    with pytest.raises(ValueError, match=said):
        config.engine_settings.fitted(4).accumulation_of(config.task.tasks, 4)
