"""What a model does not know is said in one line before it is made, and nothing is said of what it does know."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lumos.cli import main
from lumos.cli.generation.world import World, world_of

WORLD = {"about": "coloured shapes", "words": ["circle", "box"]}
WORDS = ("generate", "--num-frames", "1", "--steps", "1", "--seed", "1", "--out", "o")


@pytest.fixture
def model(ckpts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that says what it knows, in the folder of the test."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ckpts / "lumos-tiny", tmp_path / "model")
    put(tmp_path / "model", WORLD)
    return tmp_path / "model"


def put(folder: Path, world: Any) -> None:
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "world": world}))


@pytest.mark.parametrize(
    ("prompt", "named"),
    [("A red Circle.", True), ("two circles", True), ("boxes", True), ("a dog", False), ("an encircled dog", False)],
)
def test_a_prompt_names_something_by_a_whole_word_or_its_plural(prompt: str, named: bool) -> None:
    assert World(about="shapes", words=("circle", "box")).is_named_in(prompt) == named


def test_a_prompt_of_another_world_is_told_in_one_line(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--model", "model", "--prompt", "a dog runs"]) == 0
    said = capsys.readouterr().err
    known = "names nothing that this model knows (circle, box)"
    assert (
        said == f"lumos: note: 'a dog runs' {known}; {model} was trained on coloured shapes, so expect nothing good\n"
    )
    assert main([*WORDS, "--model", "model", "--prompt", "a dog runs"]) == 0  # finished before
    assert capsys.readouterr().err == ""


def test_of_a_long_prompt_the_beginning_is_told_in_quotes(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--model", "model", "--prompt", f"the dog's {'long ' * 20}tail", "--dry-run"]) == 0
    said = capsys.readouterr().err
    assert f'note: "the dog\'s {"long " * 10}..." names nothing' in said


def test_of_several_prompts_it_is_counted_and_a_foreign_size_is_told(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = ("--prompt", "a dog", "--prompt", "a circle", "--prompt", "a cat", "--width", "128")
    assert main([*WORDS, "--model", "model", *prompts, "--dry-run"]) == 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "2 of 3 prompts, such as 'a dog', name nothing that" in said
    assert "128x64 is not the size it was made for (96x64 and 64x96 and 64x64)" in said


def test_a_prompt_is_told_as_it_was_typed_and_what_no_terminal_shows_is_escaped(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, "--model", "model", "--prompt", "一只猫跑 ä 😀 \u202e", "--dry-run"]) == 0
    assert "note: '一只猫跑 ä 😀 \\u202e' names nothing" in capsys.readouterr().err


@pytest.mark.parametrize("world", [WORLD, None])
def test_nothing_is_said_of_what_it_knows_or_does_not_speak_of(
    model: Path, world: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    put(model, world)
    assert main([*WORDS, "--model", "model", "--prompt", "a circle" if world else "a dog", "--dry-run"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("world", [3, {"about": "x"}, {"about": "x", "words": []}, {"about": "x", "words": [["x"]]}])
def test_a_world_that_is_none_is_one_line(model: Path, world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    put(model, world)
    assert main([*WORDS, "--model", "model", "--prompt", "a circle", "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "generation_config.json: " in said
    assert "world" in said


def test_the_bundled_model_says_what_it_knows(repo: Path) -> None:
    world = world_of(json.loads((repo / "ckpts/lumos-tiny/generation_config.json").read_text()))
    assert world is not None
    assert world.is_named_in("two green stars")
    assert not world.is_named_in("a lighthouse at dusk")
