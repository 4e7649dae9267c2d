"""Every setting is listed with its type, default and meaning, and can be typed as it is listed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from lumos.cli import main
from lumos.cli.training.setting_list import field_meanings, report_keys, settings_of
from lumos.cli.training.training_run import RUN_CONFIGS, load_run
from xllmx.settings.number_range import Range


@dataclass(frozen=True, kw_only=True)
class _Inner:
    lr: Annotated[float, Range(0, 1, above=True)] = 0.5
    """How far a step
    goes."""


@dataclass(frozen=True, kw_only=True)
class _Outer:
    place: Path
    """Where to."""
    inner: _Inner = field(default_factory=_Inner)
    """A group."""
    parts: dict[str, _Inner] = field(default_factory=dict)
    """Groups by name."""
    kind: Literal["a", "b"] = "a"
    """Which."""
    text: str = ""
    bare: Annotated[int, Range(1, 9)] | None = None
    """A number, or none."""
    rows: tuple[str, ...] = ("x", "y")
    """Several."""
    free: dict[str, Any] = field(default_factory=dict)
    """Anything."""


def test_keys_types_defaults_and_meanings_are_those_of_the_dataclass() -> None:
    found = {one.key: (one.type, one.default, one.meaning) for one in settings_of(_Outer)}
    lr = ("number above 0 and at most 1", "0.5", "How far a step goes.")
    assert found == {
        "place": ("path", None, "Where to."),
        "inner.lr": lr,
        "parts.NAME": ("a group of settings", "{}", "Groups by name."),
        "parts.NAME.lr": lr,
        "kind": ("a | b", "a", "Which."),
        "text": ("text", "''", ""),
        "bare": ("whole number of at least 1 and at most 9 or null", "null", "A number, or none."),
        "rows": ("list of text", "[x, y]", "Several."),
        "free": ("{name: anything}", "{}", "Anything."),
    }


@pytest.mark.parametrize("model", RUN_CONFIGS)
def test_every_setting_of_a_run_has_a_meaning(model: str) -> None:
    assert [one.key for one in settings_of(RUN_CONFIGS[model]) if not one.meaning] == []
    assert field_meanings(RUN_CONFIGS[model])["model"] == "Which model."


@pytest.mark.parametrize("model", RUN_CONFIGS)
def test_what_is_listed_can_be_typed(model: str) -> None:
    """Each default given as it is shown makes the run that nothing given makes."""
    base = [f"model={model}", "trainer.run_dir=runs/a", "trainer.max_steps=1"]
    plain = load_run(None, base)
    for one in settings_of(RUN_CONFIGS[model]):
        taken = one.default is None or "NAME" in one.key or one.key in ("model", "trainer.max_steps")
        words = [] if taken else [f"{one.key}={one.default}"]
        assert load_run(None, [*base, *words]) == plain, one.key


def test_a_word_is_looked_for_in_keys_and_meanings_and_the_other_model_is_named() -> None:
    said = report_keys("lumos1", "EMA_decay")
    assert said.startswith("2 of ")
    assert "trainer.ema_decay  (number of at least 0 and at most 1; default 0.0)\n    Average of the weights" in said
    with pytest.raises(ValueError, match="model=lumina_video has one: lumos train --keys micro_bsz model=lumina_video"):
        report_keys("lumos1", "micro_bsz")
    with pytest.raises(ValueError, match=r"no setting of lumos1 holds 'save_evry'; did you mean save_every\?"):
        report_keys("lumos1", "save_evry")
    with pytest.raises(ValueError, match="'lumina', which is none to train"):
        report_keys("lumina", "")


def test_the_command_lists_all_or_those_of_a_word(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> str:
        assert main(["train", *words]) == 0
        return capsys.readouterr().out

    everything = said("--keys")
    assert all(f"\n{one.key}  (" in everything for one in settings_of(RUN_CONFIGS["lumos1"]))
    assert "\noptim.lr  (" in said("--keys", "lr")
    assert "task.tasks.NAME.micro_bsz" in said("--keys", "micro_bsz", "model=lumina_video")
    assert "task.tasks.NAME.micro_bsz" in said("--keys", "model=lumina_video")
    config = str(repo / "configs" / "train" / "lumina_f8F32R256.yaml")
    assert "task.tasks.NAME.micro_bsz" in said("--config", config, "--keys", "micro_bsz")
    assert main(["train", "--keys", "a", "b"]) == 2
    assert "--keys takes one word, and there are a, b" in capsys.readouterr().err


def test_the_model_of_a_bundled_config_is_known_in_any_folder_and_a_missing_config_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--config", "configs/train/lumina_f8F32R256.yaml", "--keys", "micro_bsz"]) == 0
    assert "task.tasks.NAME.micro_bsz" in capsys.readouterr().out
    assert main(["train", "--config", "mine.yaml", "--keys"]) == 2
    assert "there is no config mine.yaml" in capsys.readouterr().err


def test_an_unknown_setting_says_where_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "trainer.save_evry=3", "trainer.run_dir=r"]) == 2
    said = "did you mean trainer.save_every? (lumos train --keys lists all)"
    assert said in capsys.readouterr().err
