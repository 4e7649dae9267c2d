"""A look at a list of files that are trained on as they are."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lumos.look.kind import kind_of
from lumos.look.listed_files import look_at_listed_files
from lumos.look.report import LookRequest
from lumos.media.writing import write_image
from tests.lumos.lumina_video.latents import write_raw_clips
from tests.lumos.media.clips import Form, write_clip


def test_videos_are_counted_by_size_and_shown(tmp_path: Path) -> None:
    listed = write_raw_clips(tmp_path, num=3)
    with listed.open("a") as file:
        file.write(json.dumps({"path": "none.mp4", "prompt": "nothing"}) + "\n")
    (tmp_path / "data.yaml").write_text("META: [{path: list.jsonl}]")
    for path in (listed, tmp_path / "data.yaml"):
        assert kind_of(path) == ("files", path)
        report = look_at_listed_files(path, LookRequest())
        said = "\n".join(report.lines)
        assert "4 files as they are, for Lumina-Video with task.vae" in said
        assert ["96x64", "8", "3"] in [line.split() for line in report.lines]
        assert "seconds     3" in said
        assert "motion      0 to 2, median 1; known of 3 of 4 files" in said
        assert "damaged     1 clip could not be read: " in said
        assert [len(card.strips) for card in report.cards] == [1, 1, 1, 0]
        assert report.cards[1].note.endswith("1.mp4 · 24 frames · motion 1.0")
        assert report.cards[3].note.endswith("none.mp4 · missing file")


def test_images_have_no_rate(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.zeros((8, 16, 3), np.uint8))
    (tmp_path / "list.json").write_text('[{"path": "a.png", "prompt": "a"}]')
    report = look_at_listed_files(tmp_path / "list.json", LookRequest())
    assert ["16x8", "-", "1"] in [line.split() for line in report.lines]
    assert [card.note[-15:] for card in report.cards] == ["a.png · picture"]


def test_what_training_leaves_out_is_counted_by_reason(tmp_path: Path) -> None:
    """At 64x64 pixels, 16 frames at 8 a second, what lumina-tiny is made for; a file that is missing is broken."""
    write_clip(tmp_path / "short.mp4", 7, Form(fps=Fraction(8)))
    write_clip(tmp_path / "slow.mp4", 20, Form(fps=Fraction(3)))
    write_clip(tmp_path / "good.mp4", 20, Form(fps=Fraction(8)))
    rows = [{"path": f"{name}.mp4", "prompt": name} for name in ("short", "slow", "good", "short", "none")]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = "\n".join(look_at_listed_files(tmp_path / "list.jsonl", LookRequest(num=0, model="lumina-tiny")).lines)
    settings = "image_size=64 max_frames=16 target_fps=8 (of lumina-tiny)"
    reasons = "too short 2, source slower than the target fps 1"
    assert f"left out    3 of 4 videos at {settings}: {reasons}" in said
    assert "missing file 1; broken samples of a training (trainer.max_broken)" in said
    unasked = "\n".join(look_at_listed_files(tmp_path / "list.jsonl", LookRequest(num=0)).lines)
    assert "left out    --model NAME counts those that training leaves out" in unasked
    for model in ("no-such", "lumos-tiny"):  # before a file is opened
        with pytest.raises(
            ValueError, match=rf"--model {model}: no model of Lumina-Video there .*; give one for which"
        ):
            look_at_listed_files(tmp_path / "none.jsonl", LookRequest(num=0, model=model))
