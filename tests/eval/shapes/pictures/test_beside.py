"""The same prompts by two models side by side: scored, named, and drawn one above the other."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.shapes.__main__ import main
from lumos.media.writing import write_video
from lumos.shapes import ObjectSpec, ShapeSpec, render

ASKED = "a white circle moves to the right on a gray background"


def put(folder: Path, name: str, *, colour: str, ground: str, prompt: str | None = ASKED) -> Path:
    folder.mkdir(exist_ok=True)
    item = ObjectSpec(shape="circle", colour=colour, motion="right", x=0.3)
    write_video(folder / name, render(ShapeSpec(objects=(item,), ground=ground), num_frames=13), fps=6)
    (folder / f"{name}.json").write_text(json.dumps({"prompt": prompt} if prompt else {}))
    return folder


def test_two_folders_are_scored_and_drawn_one_above_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = put(tmp_path / "a", "one.mp4", colour="purple", ground="white")
    after = put(tmp_path / "b", "one.mp4", colour="white", ground="gray")
    put(after, "two.mp4", colour="white", ground="gray")  # of one folder alone
    assert main(["beside", str(before), str(after), "--out", str(tmp_path / "both.png")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"asked: {ASKED}", "  before  wrong: purple circle (right) on white",
        "  after   right: white circle (right) on gray",
        "as asked: 0 of 1 before, 1 of 1 after", f"side by side, before above after: {tmp_path / 'both.png'}",
    ]  # fmt: skip
    with Image.open(tmp_path / "both.png") as picture:
        width, height = picture.size
        corners = [np.asarray(picture.convert("RGB"))[y, width // 2] for y in (3, height // 2 + 3)]
    assert corners[0].min() > 200  # white ground above
    assert np.abs(corners[1].astype(int) - 122).max() < 30  # gray below


@pytest.mark.parametrize(
    ("second", "prompt", "said"),
    [
        ("other.mp4", ASKED, "have no clip of the same name: make both from one --prompt-file"),
        ("one.mp4", "a red circle", f"one.mp4 is '{ASKED}' in"),
        ("one.mp4", None, "has no record of its prompt beside it"),
    ],
)
def test_clips_that_are_no_pair_end_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], second: str, prompt: str | None, said: str
) -> None:
    before = put(tmp_path / "a", "one.mp4", colour="red", ground="white")
    after = put(tmp_path / "b", second, colour="red", ground="white", prompt=prompt)
    assert main(["beside", str(before), str(after), "--out", str(tmp_path / "both.gif")]) == 2
    error = capsys.readouterr().err
    assert (said in error, error.count("\n")) == (True, 1)
    assert main(["beside", str(before), str(tmp_path / "no"), "--out", str(tmp_path / "both.gif")]) == 2
    assert f"{tmp_path / 'no'} is no folder" in capsys.readouterr().err
    assert not (tmp_path / "both.gif").exists()
