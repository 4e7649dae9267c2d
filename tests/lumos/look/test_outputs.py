"""A look at generated outputs: of `lumos generate`, and of the drivers, whose records lie apart."""

import json
from pathlib import Path

import numpy as np
import pytest

from lumos.look.outputs import look_at_outputs
from lumos.look.report import LookRequest, Report
from lumos.media.writing import write_image, write_video


def record_at(path: Path, **entries: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = {"width": 32, "height": 16, "fps": 6, "num_frames": 5}
    said = {"prompt": "a red box", "seed": 3, "model": "lumos-tiny", "settings": settings, "num_frames": 5}
    path.with_name(f"{path.name}.json").write_text(json.dumps({**said, **entries}))


def clip_at(path: Path, num: int = 5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = np.arange(num * 16 * 32 * 3, dtype=np.uint32).reshape(num, 16, 32, 3) % 251
    write_video(path, frames.astype(np.uint8), fps=6)
    return path


def look(path: Path, **more: int) -> Report:
    return look_at_outputs(path, LookRequest(**more))


def test_outputs_are_counted_and_shown_with_their_prompts(tmp_path: Path) -> None:
    for number in range(3):
        record_at(clip_at(tmp_path / f"{number}.mp4"), prompt=f"box {number}", seed=number)
    write_image(tmp_path / "sheet.png", np.zeros((8, 16, 3), np.uint8))
    report = look(tmp_path)
    said = "\n".join(report.lines)
    assert ["32x16", "5", "6", "3"] in [line.split() for line in report.lines]
    assert "prompts     5 letters (2 words); all different" in said
    assert "models      lumos-tiny 3" in said
    assert "seeds       3 different" in said
    assert "left out    1 other file without a record" in said
    assert [card.text for card in report.cards] == ["box 0", "box 1", "box 2"]
    assert report.cards[1].note == "1.mp4 · 32x16 · 5 frames · seed 1"
    assert [len(card.strips[0].frames) for card in report.cards] == [4, 4, 4]
    assert [card.text for card in look(tmp_path, num=2).cards] == ["box 0", "box 2"]


def test_records_of_drivers_lie_apart(tmp_path: Path) -> None:
    clip_at(tmp_path / "vbench" / "a box-0.mp4")
    record_at(tmp_path / "vbench_records" / "a box-0.mp4", prompt="long prompt")
    (tmp_path / "geneval" / "00012" / "samples").mkdir(parents=True)
    for name in ("samples/00003.png", "grid.png"):
        write_image(tmp_path / "geneval" / "00012" / name, np.zeros((16, 32, 3), np.uint8))
    record_at(tmp_path / "geneval_records" / "00012" / "00003.png", prompt="two boxes", num_frames=1)
    assert [card.text for card in look(tmp_path / "vbench").cards] == ["long prompt"]
    report = look(tmp_path / "geneval")
    assert [card.text for card in report.cards] == ["two boxes"]
    assert report.cards[0].note == "00012/samples/00003.png · 32x16 · picture · seed 3"


def test_what_has_no_record_is_shown_all_the_same(tmp_path: Path) -> None:
    report = look(clip_at(tmp_path / "a.gif", num=3))
    assert "records     none: nothing says how these were made" in "\n".join(report.lines)
    assert report.cards[0].note == "a.gif · 32x16 · 3 frames"


def test_damaged_outputs_and_records_are_counted(tmp_path: Path) -> None:
    record_at(clip_at(tmp_path / "a.mp4"))
    (tmp_path / "b.mp4").write_bytes(b"no video")
    record_at(tmp_path / "b.mp4")
    clip_at(tmp_path / "c.mp4").with_name("c.mp4.json").write_text("{")
    report = look(tmp_path)
    said = "\n".join(report.lines)
    assert "damaged     1 of 3 looked into: b.mp4: undecodable" in said
    assert "records     1 cannot be read: " in said
    assert [len(card.strips) for card in report.cards] == [1, 0, 1]


@pytest.mark.parametrize("entries", [
    {"prompt": 3, "seed": "x", "settings": [], "model": None, "seconds": "y", "num_frames": True},
    {"prompt": "\x1b[2J", "settings": {"width": -1, "height": None, "fps": {}}, "seconds": 1e300},
])  # fmt: skip
def test_a_strangers_record_of_any_types_is_read(entries: dict[str, object], tmp_path: Path) -> None:
    record_at(clip_at(tmp_path / "a.mp4"), **entries)
    report = look(tmp_path)
    assert report.lines[0].endswith("1 output")
    assert "\x1b" not in "\n".join(report.lines)


@pytest.mark.parametrize("width", [-1, 0, 2**60])
def test_a_size_that_there_cannot_be_is_not_said(width: int, tmp_path: Path) -> None:
    record_at(clip_at(tmp_path / "a.mp4"), width=width)
    assert ["?", "5", "6", "1"] in [line.split() for line in look(tmp_path).lines]
