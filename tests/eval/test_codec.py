"""Real clips through a codec and back: a line for each clip and size, a picture of both."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.codec import main, size_of
from lumos.media.writing import write_video
from tests.model_folder import make_model_folder


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Plain grey that grows brighter, 24 frames of 96x64."""
    frames = np.broadcast_to(np.arange(60, 180, 5, dtype=np.uint8)[:, None, None, None], (24, 64, 96, 3))
    write_video(tmp_path / "grey.mp4", np.ascontiguousarray(frames), fps=8)
    return tmp_path / "grey.mp4"


def test_every_clip_is_measured_at_every_size(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]):
    model = make_model_folder(tmp_path / "model")
    out = tmp_path / "codec.png"
    words = [str(clip), "--tokenizer", str(model), "--sizes", "48x32", "96x64", "--frames", "5", "--out", str(out)]
    assert main(words) == 0
    said = capsys.readouterr().out.splitlines()
    values = [
        float(re.match(r" *([\d.]+) dB  (48x32|96x64), 5 frames at 8 a second  grey.mp4", line)[1]) for line in said[:2]
    ]
    assert min(values) > 15  # the mean colour of a block of plain grey is nearly all of it
    assert said[2].endswith(f"mean {sum(values) / 2:.2f} dB, lowest {min(values):.2f}")
    with Image.open(out) as image:
        assert min(image.size) > 100


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sizes", "112"], "write width x height in pixels"),
        (["--sizes", "100x64"], "multiple of 8 px and at most 8192: take 96x64"),
        (["--sizes", "0x64"], "take 8x64"),
        (["--sizes", "800000000x64"], "take 8192x64"),
        (["--frames", "0"], "1 to 10000 frames"),
        (["--frames", "99"], "too short"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    tmp_path: Path, clip: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    model = make_model_folder(tmp_path / "model")
    assert main([str(clip), "--tokenizer", str(model), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_size_is_width_times_height():
    assert size_of("224x128") == (224, 128)
