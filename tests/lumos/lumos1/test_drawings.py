"""The picture of how Lumos-1 sees a clip."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumos.lumos1.drawings import main

pytest.importorskip("matplotlib")


def test_the_picture_is_drawn_in_the_colours_of_its_frames(tmp_path: Path) -> None:
    out = tmp_path / "lumos1.png"
    assert main(["--out", str(out)]) == 0
    pixels = np.asarray(Image.open(out).convert("RGB")).reshape(-1, 3)
    for colour in ((31, 119, 180), (255, 127, 14), (44, 160, 44)):  # of frames 0, 1 and 2
        assert np.count_nonzero((np.abs(pixels.astype(int) - colour) < 3).all(axis=1)) > 3000


def test_a_format_nobody_knows_is_said_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path / "lumos1.doc")]) == 2
    assert "let it end in .png, .svg or .pdf" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
