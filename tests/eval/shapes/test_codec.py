"""The measure of a visual tokenizer: high for what gives clips back, low for what gives only their mean colours."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from eval.shapes.__main__ import main
from eval.shapes.codec import codec_of, psnr
from tests.lumos.lumina_video.tiny import tiny_vae_folder
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


@pytest.mark.parametrize("own", [{}, {"num_frames": 8, "fps": 5, "width": 40}])
def test_a_vae_is_measured_alone_or_in_its_model(tmp_path: Path, own: dict[str, int]):
    """On clips as its model makes them, or of the size its config says."""
    folder = tiny_vae_folder(tmp_path / "vae")
    (tmp_path / "generation_config.json").write_text(json.dumps(own))
    codec = codec_of(str(tmp_path))
    assert codec.clips == {"width": 80, "height": 96, "num_frames": 16, "fps": 8, **own}
    video = torch.rand(1, 3, 8, 32, 40)
    assert codec.there_and_back(video).shape == video.shape
    assert codec_of(str(folder)).there_and_back(video).equal(codec.there_and_back(video))
