"""Small pictures of outputs, which anybody may have made."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from eval.report.sheets import still, strip
from lumos.media import reading
from lumos.media.writing import write_image, write_video


def test_frames_of_a_clip_stand_side_by_side(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", np.full((5, 64, 96, 3), 128, np.uint8), fps=8)
    jpeg = strip(tmp_path / "a.mp4")
    assert jpeg is not None
    with Image.open(io.BytesIO(jpeg)) as sheet:
        assert sheet.size == (4 * 192 + 3 * 2, 128)


def test_a_clip_that_lists_other_files_is_none(tmp_path: Path) -> None:
    write_video(tmp_path / "other.mp4", np.zeros((5, 64, 96, 3), np.uint8), fps=8)
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile other.mp4\n")
    assert strip(tmp_path / "a.mp4") is None


def test_a_clip_of_more_frames_than_fit_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.mp4", np.zeros((5, 64, 96, 3), np.uint8), fps=8)
    monkeypatch.setattr(reading, "MOST_CLIP_BYTES", 4 * 64 * 96 * 3)
    assert strip(tmp_path / "a.mp4") is None


def test_a_picture_is_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> Image.Image:
        raise AssertionError("the program is run")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    assert still(tmp_path / "a.png") is None
    write_image(tmp_path / "b.png", np.zeros((8, 12, 3), np.uint8))
    assert still(tmp_path / "b.png") is not None
