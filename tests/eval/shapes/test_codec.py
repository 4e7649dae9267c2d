"""The measure of a visual tokenizer: high for what gives clips back, low for what gives only their mean colours."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from eval.shapes.__main__ import main
from eval.shapes.codec import psnr
from tests.model_folder import make_model_folder


def test_psnr_is_that_of_the_8_bit_frames():
    frames = np.full((1, 2, 3, 4, 3), 100, dtype=np.uint8)
    decoded = torch.full((1, 3, 5, 3, 4), (110.5 / 255) * 2 - 1)  # three frames more than asked for
    assert list(psnr(frames, decoded)) == [pytest.approx(10 * np.log10(255**2 / 100))]


def test_the_tokenizer_of_a_model_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """That of the tests knows the mean colour of 8x8x4 pixels and no more."""
    folder = make_model_folder(tmp_path / "model")
    assert main(["codec", "--model", str(folder), "--num", "3"]) == 0
    said = re.search(r"PSNR ([\d.]+) dB, mean of (\d+) clips", capsys.readouterr().out)
    assert said is not None
    assert 8 < float(said[1]) < 25
    assert said[2] == "3"
