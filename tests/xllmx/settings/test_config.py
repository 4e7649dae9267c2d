"""Settings come from defaults, file and words, in this order, and nothing unknown gets in."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest

from xllmx.settings.config import load_config, save_config
from xllmx.settings.number_range import Range, check_numbers


@dataclass(frozen=True, kw_only=True)
class Inner:
    lr: float = 0.1
    steps: int | None = None
    kind: Literal["cosine", "constant"] = "cosine"

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise ValueError(f"lr is {self.lr}; it must be positive")


@dataclass(frozen=True, kw_only=True)
class Outer:
    run_dir: Path
    inner: Inner = field(default_factory=lambda: Inner(lr=0.5))
    other: Inner | None = None
    betas: tuple[float, float] = (0.9, 0.95)
    tags: tuple[str, ...] = ()
    batch: dict[str, int] = field(default_factory=dict)
    name: str = "toy"
    fast: bool = False
    scale: float | str = 1.0


def yaml_of(folder: Path, text: str) -> Path:
    path = folder / "settings.yaml"
    path.write_text(text)
    return path


def test_words_win_over_file_and_file_over_defaults(tmp_path: Path) -> None:
    path = yaml_of(tmp_path, "run_dir: runs/a\ninner: {kind: constant, steps: 3}\nbatch: {image: 4}\nname: file\n")
    config = load_config(Outer, path, ["inner.steps=7", "batch.video=2", "betas=[0.8, 1]", "fast=true", "scale=auto"])
    assert config == Outer(
        run_dir=Path("runs/a"),
        inner=Inner(lr=0.5, kind="constant", steps=7),  # lr: of the field's own default, not of the class
        batch={"image": 4, "video": 2},
        betas=(0.8, 1.0),
        name="file",
        fast=True,
        scale="auto",
    )


def test_scientific_notation_is_a_number() -> None:
    assert load_config(Outer, None, ["run_dir=x", "inner.lr=1e-4"]).inner.lr == 1e-4


def test_saved_settings_load_as_equal_ones(tmp_path: Path) -> None:
    config = Outer(run_dir=Path("a b"), other=Inner(lr=1e-5, steps=2), tags=("x", "y"), batch={"image": 1})
    save_config(config, tmp_path / "deep" / "config.yaml")
    assert load_config(Outer, tmp_path / "deep" / "config.yaml") == config
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["iner.lr=1"], r"unknown setting iner; did you mean inner\?"),
        (["inner.lrr=1"], r"unknown setting inner.lrr; did you mean inner.lr\?"),
        (["z" * 900 + "=1"], "unknown setting " + "z" * 60 + "; known are"),
        (["inner.zzz=1"], r"unknown setting inner.zzz; known are inner.lr, inner.steps, inner.kind"),
        (["inner.lr=fast"], r"setting inner.lr is 'fast'; it must be a number, for example 0.5"),
        (["inner.lr=-1"], "lr is -1.0; it must be positive"),
        (["inner.steps=1.5"], "inner.steps is 1.5; it must be a whole number, for example 100"),
        (["inner.kind=linear"], "inner.kind is 'linear'; it must be one of cosine, constant"),
        (["inner=3"], "inner is 3; it must be a group of settings"),
        (["betas=[1]"], "betas is .1.; it must be a list of 2 values"),
        (["batch=3"], "batch is 3; it must be a mapping"),
        (["batch={image:4}"], r"batch has 'image:4' without a value; .* space behind the colon, \{image: 4\}"),
        (["inner={lr:1}"], r"inner has 'lr:1' without a value; .* space behind the colon, \{lr: 1\}"),
        (["batch.image=big"], "batch.image is 'big'; it must be a whole number"),
        (["tags=a"], "tags is 'a'; it must be a list"),
        (["fast=1"], "fast is 1; it must be true or false"),
        (["name=[1]"], r"name is \[1\]; it must be text"),
        (["name"], "'name' is not of the form key=value"),
        (["name=[1"], "the value of override .* is not valid YAML"),
        (["name=${nowhere}"], "write the value itself"),
    ],
)
def test_bad_words_are_named(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_config(Outer, None, ["run_dir=x", *words])


def test_what_is_required_is_asked_for() -> None:
    with pytest.raises(ValueError, match="left out: run_dir; give it a value, for example run_dir=runs/mine"):
        load_config(Outer)


@dataclass(frozen=True, kw_only=True)
class Ranged:
    decay: Annotated[float, Range(0, 1)] = 0.25
    steps: Annotated[int, Range(1)] | None = None

    def __post_init__(self) -> None:
        check_numbers(self, "inner.")


@dataclass(frozen=True, kw_only=True)
class Holding:
    inner: Ranged = field(default_factory=Ranged)


def test_a_number_outside_its_range_has_its_default_for_an_example() -> None:
    rule = "inner.decay is 2.0; it must be a number of at least 0 and at most 1, for example 0.25"
    with pytest.raises(ValueError, match=f"^{re.escape(rule)}$"):
        load_config(Holding, None, ["inner.decay=2"])
    with pytest.raises(ValueError, match=r"inner\.steps is 0; it must be a whole number of at least 1$"):
        load_config(Holding, None, ["inner.steps=0"])


@dataclass(frozen=True, kw_only=True)
class Named:
    steps: Annotated[int, Range(1)] = 1
    shares: tuple[Annotated[float, Range(0, 1)], ...] = ()

    def __post_init__(self) -> None:
        check_numbers(self)


@dataclass(frozen=True, kw_only=True)
class HoldingMany:
    groups: dict[str, Named] = field(default_factory=dict)
    one: Named = field(default_factory=Named)


@pytest.mark.parametrize(
    "word", ["groups.a.steps=0", "one.steps=0", "groups.b.shares=[0.5, 2]"], ids=lambda word: word.partition("=")[0]
)
def test_a_number_is_named_by_the_groups_that_it_is_in(word: str) -> None:
    """The group need not know where it is, and in a mapping cannot."""
    with pytest.raises(ValueError, match=rf"^{re.escape(word.partition('=')[0])}(\[1\])? is "):
        load_config(HoldingMany, None, [word])


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"missing.yaml does not exist"):
        load_config(Outer, tmp_path / "missing.yaml")
    with pytest.raises(ValueError, match="cannot read the settings of"):
        load_config(Outer, yaml_of(tmp_path, "a: [1"))
    with pytest.raises(ValueError, match="`key: value` lines"):
        load_config(Outer, yaml_of(tmp_path, "- a\n- b\n"))
    load_config(Outer, yaml_of(tmp_path, ""), ["run_dir=x"])
