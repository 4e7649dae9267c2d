"""Clips longer than the model's own, and clips whose prompt changes: what is asked, what is right, what is written."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.shapes.__main__ import main
from eval.shapes.change import OPPOSITES, changing_prompts
from eval.shapes.long import LASTING, LongClips, long_table, right_stretches, save_long
from eval.shapes.prompts import make_prompts
from lumos.shapes import is_reserved, render

LENGTH = {"width": 64, "height": 64, "num_frames": 12, "fps": 6}


def test_a_stretch_is_right_that_shows_what_the_prompt_names_wherever_it_moves() -> None:
    record = make_prompts("t2v", 1, tags=("motion",), motions=LASTING)[0]
    claims = zip(record.prompt.include, record.spec.objects, strict=True)
    include = tuple(replace(claim, colour=item.colour) for claim, item in claims)
    asked = replace(record, prompt=replace(record.prompt, include=include))
    moved = [replace(item, motion="up" if item.motion == "still" else "still") for item in record.spec.objects]
    others = [replace(item, colour="blue" if item.colour != "blue" else "red") for item in record.spec.objects]
    shown, other = (render(replace(record.spec, objects=tuple(items)), **LENGTH) for items in (moved, others))
    assert right_stretches(asked, np.concatenate([shown, other, shown[:5]]), 12) == [True, False]


def test_prompts_of_a_change_name_one_object_and_opposite_motions_in_new_words() -> None:
    prompts = changing_prompts(6, seed=1)
    assert len(prompts) == 6
    for one in prompts:
        (first,), (second,) = one.first.prompt.include, one.second.include
        assert (first.shape, first.colour) == (second.shape, second.colour)
        assert second.motion == OPPOSITES[first.motion or ""]
        assert is_reserved(one.second.text)


def test_the_curve_and_the_table_hold_both_ways(tmp_path: Path) -> None:
    ways = [
        LongClips(way="window", stretches=(1.0, 1.0), correct=2, num=2, motions={"still": (2, 2)}),
        LongClips(way="naive", stretches=(1.0, 0.5), correct=1, num=2),
    ]
    save_long(ways, tmp_path)
    content = json.loads((tmp_path / "long.json").read_text())
    assert (content["tag"], content["window"]["accuracy"], content["naive"]["accuracy"]) == ("long", 1.0, 0.5)
    assert (tmp_path / "long.png").read_bytes().startswith(b"\x89PNG")
    assert "window  1.000  1.000   all of it 1.000   2 of 2" in long_table(ways)


@pytest.mark.slow
def test_the_commands_make_both_ways_and_refuse_a_folder_of_other_clips(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words: list[Any] = ["--num", "1", "--out", str(tmp_path / "o"), "num_inference_steps=1", "guidance_scale=1"]
    assert main(["long", "--times", "2", *words]) == 0
    assert "long: 1 clip of 2 times the length" in capsys.readouterr().out
    assert (tmp_path / "o/naive/00000.mp4").is_file()
    assert main(["change", *words]) == 2
    assert "holds clips of another run" in capsys.readouterr().err


def test_a_model_without_windows_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["long", "--num", "1", "--out", str(tmp_path / "o"), "history_frames=all"]) == 2
    error = capsys.readouterr().err
    assert ("history_frames is not set for lumos-tiny; give history_frames=2" in error, error.count("\n")) == (True, 1)
