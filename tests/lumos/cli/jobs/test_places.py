"""A list looked at before a model is loaded: every job at fault is named, and nothing is made."""

import os
from pathlib import Path

import pytest

from lumos.cli.jobs.outputs import PlainFolder
from lumos.cli.jobs.places import Listed, check_places
from lumos.cli.jobs.runner import Job


def test_a_job_is_one_of_a_list() -> None:
    assert isinstance(Job(name="a.png", prompt="a"), Listed)


def test_every_job_at_fault_is_named_at_once(tmp_path: Path) -> None:
    jobs = [
        Job(name="a.png", prompt="a red circle"),
        Job(name="n" * 250 + ".png", prompt="long"),
        Job(name="c.png", prompt="cut \ud83d"),
        Job(name="d.png", prompt="d", negative_prompt="\udcff"),
        Job(name="e\ud800.png", prompt="e"),
    ]
    with pytest.raises(ValueError, match="prompt 2 of 5") as caught:
        check_places(jobs, PlainFolder(tmp_path / "o"), inputs={})
    said = str(caught.value)
    assert "prompt 2 of 5 ('long'): the name 'nnn" in said
    assert "is longer than a file name can be (254 bytes, 259 with .json; at most 255)" in said
    assert r"prompt 3 of 5 ('cut \ud83d'): the prompt has half a character (U+D83D) at position 5" in said
    assert "prompt 4 of 5 ('d'): the negative prompt has half a character (U+DCFF) at position 1" in said
    assert said.endswith("; and 1 more prompts are at fault")
    assert list(tmp_path.iterdir()) == []


def test_no_output_is_an_input_under_any_name(tmp_path: Path) -> None:
    start = tmp_path / "start.png"
    start.touch()
    os.link(start, tmp_path / "a.png")
    (tmp_path / "b.png.json").symlink_to("list.json")
    (tmp_path / "list.json").touch()
    with pytest.raises(ValueError, match=r"prompt 1 of 2 \('a'\): .*a.png is the picture of a prompt \(start.png\)"):
        check_places(
            [Job(name="a.png", prompt="a"), Job(name="b.mp4", prompt="b", image=start)],
            PlainFolder(tmp_path),
            inputs={},
        )
    with pytest.raises(ValueError, match=r"b.png.json is --prompt-file, and would be written over"):
        check_places(
            [Job(name="b.png", prompt="b")], PlainFolder(tmp_path), inputs={"--prompt-file": tmp_path / "list.json"}
        )
